#include "app.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_bool connected;
static atomic_int reconnects, echoes;
static char host[256], port[16];

static void *echo(void *argument) {
    int peer = (int)(long)argument;
    char buffer[4096];
    ssize_t got;
    while ((got = read(peer, buffer, sizeof buffer)) > 0)
        if (write(peer, buffer, (size_t)got) != got)
            break;
    close(peer);
    return NULL;
}

int serve_db(const char *own_port) {
    int listener = listen_on(own_port);
    say("db listens on %s", own_port);
    for (;;) {
        int peer = accept(listener, NULL, NULL);
        pthread_t thread;
        if (peer >= 0 && pthread_create(&thread, NULL, echo, (void *)(long)peer) == 0)
            pthread_detach(thread);
    }
    return NULL;
}

static bool exchange(int fd, int number) {
    char line[32], answer[32];
    int size = snprintf(line, sizeof line, "ping %d\n", number);
    if (send(fd, line, (size_t)size, MSG_NOSIGNAL) != size)
        return false;
    for (int got = 0; got < size;) {
        ssize_t more = read(fd, answer + got, (size_t)(size - got));
        if (more <= 0)
            return false;
        got += (int)more;
    }
    return memcmp(line, answer, (size_t)size) == 0;
}

static int dial_until(double deadline) {
    for (;;) {
        int fd = dial(host, port);
        if (fd >= 0 || now_s() > deadline)
            return fd;
        sleep_s(0.05);
    }
}

static void *keep_talking(void *argument) {
    int fd = (int)(long)argument;
    for (int number = 1;; number++) {
        if (exchange(fd, number)) {
            echoes++;
            sleep_s(0.1);
            continue;
        }
        connected = false;
        say("lost the connection to %s:%s", host, port);
        close(fd);
        while ((fd = dial_until(now_s() + 3600)) < 0) {
        }
        reconnects++;
        connected = true;
    }
    return NULL;
}

void connect_db(const char *peer) {
    if (sscanf(peer, "%255[^:]:%15s", host, port) != 2) {
        say("DB=%s: expected HOST:PORT", peer);
        exit(1);
    }
    double limit = number_setting("DB_BOOT_S", 10);
    int fd = dial_until(now_s() + limit);
    if (fd < 0) {
        say("no connection to %s within %g s", peer, limit);
        exit(1);
    }
    connected = true;
    pthread_t thread;
    pthread_create(&thread, NULL, keep_talking, (void *)(long)fd);
    pthread_detach(thread);
}

bool db_is_lost(void) {
    return host[0] && !connected;
}

int describe_db(char *out, size_t size) {
    return snprintf(out, size, "{\"connected\":%s,\"reconnects\":%d,\"echoes\":%d}\n", connected ? "true" : "false",
                    reconnects, echoes);
}
