#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One request on a connection of its own, as a client without a pool makes it; what answered is put into `version`. */
static bool ask_once(const char *host, const char *port, char *version, size_t size) {
    char answer[512] = "";
    size_t used = 0;
    ssize_t got = 0;
    int fd = dial(host, port);
    const char request[] = "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";
    if (fd < 0)
        return false;
    if (write(fd, request, sizeof request - 1) > 0)
        while (used < sizeof answer - 1 && (got = read(fd, answer + used, sizeof answer - 1 - used)) > 0)
            used += (size_t)got;
    close(fd);
    const char *found = strstr(answer, "\"version\":\"");
    if (strncmp(answer, "HTTP/1.1 200", 12) != 0 || !found)
        return false;
    found += strlen("\"version\":\"");
    snprintf(version, size, "%.*s", (int)strcspn(found, "\""), found);
    return true;
}

int ask_for_ever(const char *host, const char *port) {
    char version[64] = "";
    long sent = 0, failed = 0;
    double interval_s = number_setting("INTERVAL_S", 0.02), told = 0;
    for (;;) {
        char now[64] = "";
        bool answered = ask_once(host, port, now, sizeof now);
        sent++;
        failed += !answered;
        bool changed = answered && strcmp(now, version) != 0;
        if (changed)
            memcpy(version, now, sizeof version);
        if (changed || !answered || now_s() - told > 0.25) {
            told = now_s();
            say("{\"sent\":%ld,\"failed\":%ld,\"version\":\"%s\"}", sent, failed, version);
        }
        sleep_s(interval_s);
    }
}
