#define _GNU_SOURCE
#include "app.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY = 75 }; /* sysexits.h: EX_TEMPFAIL */

static atomic_bool serving;

static int check_health(void) {
    char answer[64] = "";
    int fd = dial("127.0.0.1", setting("PORT", "8000"));
    const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if (fd < 0 || write(fd, request, sizeof request - 1) < 0 || read(fd, answer, sizeof answer - 1) < 12) {
        say("no answer");
        return 1;
    }
    say("%.12s", answer);
    return strncmp(answer + 9, "200", 3) == 0 ? 0 : 1;
}

static void *die_later(void *unused) {
    (void)unused;
    sleep_s(number_setting("EXIT_AFTER_S", 0));
    say("exiting as told");
    _exit((int)number_setting("EXIT", 1));
}

static void *boot_and_serve(void *unused) {
    (void)unused;
    is_sick(); /* SICK_AFTER_S counts from here */
    sleep_s(number_setting("BOOT_S", 0));
    if (setting("DB", NULL))
        connect_db(setting("DB", NULL));
    int listener = listen_on(setting("PORT", "8000"));
    serving = true;
    say("version %s serves on %s", setting("VERSION", ""), setting("PORT", "8000"));
    serve_http(listener);
    say("every request is answered");
    exit(0);
}

static int serve(void) {
    sigset_t handled;
    sigemptyset(&handled);
    for (const int *one = (const int[]){SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP, 0}; *one; one++)
        sigaddset(&handled, *one);
    pthread_sigmask(SIG_BLOCK, &handled, NULL);
    pthread_t thread;
    if (setting("EXIT_AFTER_S", NULL))
        pthread_create(&thread, NULL, die_later, NULL);
    else if (setting("EXIT", NULL))
        return (int)number_setting("EXIT", 1);
    pthread_create(&thread, NULL, boot_and_serve, NULL);
    for (;;) {
        int number = 0;
        sigwait(&handled, &number);
        say("signal %s", sigabbrev_np(number));
        if (flag_setting("IGNORE_TERM"))
            continue;
        if (!serving)
            exit(0);
        stop_serving();
    }
}

static void end(int number) {
    (void)number;
    _exit(0);
}

/* As the first process of a container it is asked to end in vain unless it says what a signal does. */
static void end_when_told(void) {
    if (flag_setting("IGNORE_TERM"))
        return;
    signal(SIGTERM, end);
    signal(SIGINT, end);
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN);
    const char *mode = count > 1 ? words[1] : "serve";
    if (strcmp(mode, "serve") == 0)
        return serve();
    if (strcmp(mode, "health") == 0)
        return check_health();
    if (strcmp(mode, "busy") == 0)
        return is_busy() ? BUSY : 0;
    end_when_told();
    if (strcmp(mode, "db") == 0)
        return serve_db(count > 2 ? words[2] : "5432");
    if (strcmp(mode, "ask") == 0 && count > 3)
        return ask_for_ever(words[2], words[3]);
    say("%s: expected serve, health, busy, db or ask", mode);
    return 2;
}
