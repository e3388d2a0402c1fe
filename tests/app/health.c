#include "app.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void mark_path(const char *name, char *out, size_t size) {
    snprintf(out, size, "%s/%s", setting("STATE_DIR", "/state"), name);
}

static bool has_mark(const char *name) {
    char path[512];
    mark_path(name, path, sizeof path);
    return access(path, F_OK) == 0;
}

void set_mark(const char *name, bool present) {
    char path[512];
    mark_path(name, path, sizeof path);
    if (!present) {
        unlink(path);
        return;
    }
    int fd = open(path, O_CREAT | O_WRONLY, 0666);
    if (fd < 0)
        perror(path);
    else
        close(fd);
}

/* Whether an interface has an address in the IPv4 subnet "A.B.C.D/N". */
static bool has_address_in(const char *subnet) {
    char network[64];
    snprintf(network, sizeof network, "%s", subnet);
    char *slash = strchr(network, '/');
    int bits = slash ? atoi(slash + 1) : 32;
    if (slash)
        *slash = 0;
    in_addr_t mask = bits ? htonl(0xffffffffu << (32 - bits)) : 0;
    in_addr_t wanted = inet_addr(network) & mask;
    struct ifaddrs *all = NULL;
    bool found = false;
    getifaddrs(&all);
    for (struct ifaddrs *one = all; one; one = one->ifa_next)
        if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET)
            found |= (((struct sockaddr_in *)one->ifa_addr)->sin_addr.s_addr & mask) == wanted;
    freeifaddrs(all);
    return found;
}

bool is_busy(void) {
    return has_mark("busy");
}

bool is_draining(void) {
    return has_mark("draining");
}

bool is_sick(void) {
    static double started;
    if (!started)
        started = now_s();
    const char *file = setting("SICK_FILE", NULL);
    const char *bad_network = setting("SICK_ON_NETWORK", NULL);
    const char *good_network = setting("WELL_ON_NETWORK", NULL);
    double after = number_setting("SICK_AFTER_S", -1);
    return flag_setting("SICK") || has_mark("sick") || (file && access(file, F_OK) == 0) ||
           (bad_network && has_address_in(bad_network)) || (good_network && !has_address_in(good_network)) ||
           (after >= 0 && now_s() - started >= after) || db_is_lost();
}
