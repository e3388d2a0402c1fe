#define _GNU_SOURCE
#include "app.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { BACKLOG = 512, KEEP_S = 30 };

extern char **environ;

static atomic_bool stopping;
static atomic_int in_flight;

static void limit_waiting(int fd) {
    struct timeval limit = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

int dial(const char *host, const char *port) {
    struct addrinfo wish = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, port, &wish, &found) != 0)
        return -1;
    int fd = -1;
    for (struct addrinfo *one = found; one && fd < 0; one = one->ai_next) {
        fd = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        limit_waiting(fd);
        if (connect(fd, one->ai_addr, one->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

int listen_on(const char *port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0 || listen(fd, BACKLOG) != 0) {
        say("port %s: %s", port, strerror(errno));
        exit(1);
    }
    return fd;
}

static int describe(char *out, size_t size) {
    char name[128] = "";
    gethostname(name, sizeof name - 1);
    return snprintf(out, size, "{\"version\":\"%s\",\"hostname\":\"%s\"}\n", setting("VERSION", ""), name);
}

static int describe_environment(char *out, size_t size) {
    int used = 0;
    for (char **one = environ; *one && used < (int)size; one++)
        used += snprintf(out + used, size - (size_t)used, "%s\n", *one);
    return used < (int)size ? used : (int)size;
}

/* Fill `body` and return the status; `path` may have a query. */
static int answer(const char *method, const char *path, char *body, size_t size, int *length) {
    *length = snprintf(body, size, "ok\n");
    if (strcmp(method, "POST") == 0) {
        if (strcmp(path, "/busy") == 0 || strcmp(path, "/sick") == 0 || strcmp(path, "/draining") == 0)
            set_mark(path + 1, true);
        else if (strcmp(path, "/idle") == 0)
            set_mark("busy", false);
        else if (strcmp(path, "/well") == 0)
            set_mark("sick", false);
        else if (strcmp(path, "/die") == 0)
            _exit(1);
        else
            return 404;
        return 200;
    }
    if (strcmp(path, "/") == 0)
        *length = describe(body, size);
    else if (strcmp(path, "/healthz") == 0)
        return is_sick() ? 503 : 200;
    else if (strcmp(path, "/ready") == 0)
        return is_sick() || is_draining() ? 503 : 200;
    else if (strcmp(path, "/db") == 0)
        *length = describe_db(body, size);
    else if (strcmp(path, "/env") == 0)
        *length = describe_environment(body, size);
    else if (strncmp(path, "/slow?ms=", 9) == 0) {
        sleep_s(atof(path + 9) / 1000);
        *length = describe(body, size);
    } else
        return 404;
    return 200;
}

static bool read_head(int peer, char *request, size_t size) {
    size_t used = 0;
    while (used < size - 1) {
        ssize_t got = read(peer, request + used, size - 1 - used);
        if (got <= 0)
            return false;
        used += (size_t)got;
        request[used] = 0;
        if (strstr(request, "\r\n\r\n"))
            return true;
    }
    return false;
}

/* Whether a connection that was kept has another request; once it is told to stop, one that has come by then. */
static bool another_comes(int peer) {
    struct pollfd wait = {.fd = peer, .events = POLLIN};
    double limit = now_s() + KEEP_S;
    do {
        if (poll(&wait, 1, 20) != 0)
            return true;
    } while (now_s() < limit && !stopping);
    return false;
}

/* Answer one request; whether the connection is kept, which is done for who asks for it in so many words. */
static bool converse_once(int peer) {
    char request[8192], method[16], path[512], head[256], body[65536];
    if (!read_head(peer, request, sizeof request) || sscanf(request, "%15s %511s", method, path) != 2)
        return false;
    int length, status = answer(method, path, body, sizeof body, &length);
    bool keep = strcasestr(request, "\r\nConnection: keep-alive\r\n") && !stopping;
    int size = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n", status,
                        length, keep ? "keep-alive" : "close");
    return send(peer, head, (size_t)size, MSG_NOSIGNAL | MSG_MORE) > 0 &&
           send(peer, body, (size_t)length, MSG_NOSIGNAL) >= 0 && keep;
}

/* A container's network goes with its last process, and with it what is still on its way to a client. */
static void wait_until_arrived(int peer) {
    int left = 0;
    for (double limit = now_s() + 1; ioctl(peer, SIOCOUTQ, &left) == 0 && left > 0 && now_s() < limit;)
        sleep_s(0.002);
}

static void *converse(void *argument) {
    int peer = (int)(long)argument;
    limit_waiting(peer);
    while (converse_once(peer) && another_comes(peer)) {
    }
    shutdown(peer, SHUT_WR);
    wait_until_arrived(peer);
    close(peer);
    in_flight--;
    return NULL;
}

void stop_serving(void) {
    stopping = true;
}

/* Once it is told to stop it serves whoever has connected by then, and nobody else: clients that never cease to
   connect do not keep it. */
void serve_http(int listener) {
    for (int left = BACKLOG; left > 0;) {
        struct pollfd wait = {.fd = listener, .events = POLLIN};
        bool last = stopping;
        int ready = poll(&wait, 1, last ? 0 : 20);
        if (last)
            left = ready > 0 ? left - 1 : 0;
        if (ready <= 0)
            continue;
        int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        if (peer < 0)
            continue;
        in_flight++;
        if (pthread_create(&thread, NULL, converse, (void *)(long)peer) == 0)
            pthread_detach(thread);
        else {
            close(peer);
            in_flight--;
        }
    }
    close(listener);
    while (in_flight > 0)
        sleep_s(0.005);
}
