/* The application that tests update: a small HTTP server that can be told to misbehave. README.md lists how. */
#ifndef APP_H
#define APP_H

#include <stdbool.h>
#include <stddef.h>

/* settings.c: what the environment says */
const char *setting(const char *name, const char *otherwise);
double number_setting(const char *name, double otherwise);
bool flag_setting(const char *name);
double now_s(void);         /* monotonic seconds */
void sleep_s(double seconds);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* health.c */
bool is_sick(void);
bool is_busy(void);
bool is_draining(void);
void set_mark(const char *name, bool present); /* "busy", "draining" or "sick": a file in STATE_DIR, so that it outlives the process */

/* db.c */
int serve_db(const char *port);    /* the echo server; returns only on failure */
void connect_db(const char *peer); /* returns once connected to HOST:PORT, exits with 1 after DB_BOOT_S */
bool db_is_lost(void);             /* connected once, but not now */
int describe_db(char *out, size_t size);

/* ask.c */
int ask_for_ever(const char *host, const char *port); /* never returns */

/* http.c */
int listen_on(const char *port);
void serve_http(int listener); /* returns once `stop_serving` was called and every request is answered */
void stop_serving(void);
int dial(const char *host, const char *port); /* a connected socket, or -1 */

#endif
