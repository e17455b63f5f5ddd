/*
 * mux - the ceiling: the smallest program that carries many UNIX clients over
 * one pipelined TCP link, and does nothing else.
 *
 *     mux SOCKET PORT         (the peer listens on 127.0.0.1:PORT)
 *
 * The n-th line that comes back on the link answers the n-th that went out, so
 * a queue of clients is all the state there is.  No dialogue, no cipher, no
 * limits, no time limits, no log; when the link ends, it ends.  What a relay in
 * any language could reach at best under this kernel is what this one reaches.
 *
 * One turn: wait; read each client that is ready, once; one send for the link;
 * read the link once and send each client its part.  That is two system calls
 * per request at the client's side and, with many clients, next to none at the
 * link's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINK_READ = 1 << 16, CLIENT_READ = 1 << 14, EVENTS = 256, ACCEPTS = 64 };

struct bytes { char *at; size_t off, len, room; };

struct client {
    int fd;                     /* -1: gone, kept while replies are on their way */
    unsigned in_flight;
    bool writing;               /* EPOLLOUT is asked for                         */
    struct bytes part, out;     /* an unfinished request; what the kernel refused */
};

static int ep, listener, uplink;
static bool link_writing;
static struct bytes to_link;
static struct client **fifo;    /* ring of those whose replies are awaited       */
static size_t fifo_first, fifo_n, fifo_room;

static void die(const char *what) { perror(what); exit(1); }

static void append(struct bytes *b, const char *p, size_t n)
{
    if (b->len + n > b->room) {
        b->room = (b->len + n) * 2;
        b->at = realloc(b->at, b->room);
        if (!b->at) die("realloc");
    }
    memcpy(b->at + b->len, p, n);
    b->len += n;
}

/* Send what is held; false when the other side is gone. */
static bool drain(int fd, struct bytes *b)
{
    while (b->off < b->len) {
        ssize_t n = send(fd, b->at + b->off, b->len - b->off, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) return errno == EAGAIN;
        b->off += (size_t)n;
    }
    b->off = b->len = 0;
    return true;
}

static void watch(int op, int fd, uint32_t events, void *who)
{
    struct epoll_event e = { .events = events, .data.ptr = who };
    if (epoll_ctl(ep, op, fd, &e)) die("epoll_ctl");
}

static void release(struct client *c)
{
    if (c->fd >= 0 || c->in_flight) return;
    free(c->part.at);
    free(c->out.at);
    free(c);
}

static void hang_up(struct client *c)
{
    close(c->fd);
    c->fd = -1;
}

static void await(struct client *c)
{
    if (fifo_n == fifo_room) {
        size_t room = fifo_room ? 2 * fifo_room : 1024;
        struct client **grown = malloc(room * sizeof *grown);
        if (!grown) die("malloc");
        for (size_t i = 0; i < fifo_n; i++) grown[i] = fifo[(fifo_first + i) % fifo_room];
        free(fifo);
        fifo = grown;
        fifo_first = 0;
        fifo_room = room;
    }
    fifo[(fifo_first + fifo_n++) % fifo_room] = c;
    c->in_flight++;
}

/* Whole lines go to the link, what is behind the last newline waits. */
static void requests(struct client *c, const char *p, size_t n)
{
    for (const char *nl; n && (nl = memchr(p, '\n', n)); ) {
        size_t line = (size_t)(nl - p) + 1;
        if (c->part.len) {
            append(&to_link, c->part.at, c->part.len);
            c->part.len = 0;
        }
        append(&to_link, p, line);
        await(c);
        p += line;
        n -= line;
    }
    if (n) append(&c->part, p, n);
}

static void read_client(struct client *c)
{
    static char buffer[CLIENT_READ];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) requests(c, buffer, (size_t)n);
    else if (n == 0 || errno != EAGAIN) hang_up(c);
}

/* One piece of a reply; what the kernel refuses is held until it takes more. */
static void give(struct client *c, const char *p, size_t n)
{
    if (c->fd < 0) return;
    if (!c->out.len) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) { hang_up(c); return; }
        if (sent > 0) { p += sent; n -= (size_t)sent; }
    }
    if (!n) return;
    append(&c->out, p, n);
    if (!c->writing) watch(EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
    c->writing = true;
}

static void read_link(void)
{
    static char buffer[LINK_READ];
    ssize_t got = recv(uplink, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) die("the link ended");
    const char *p = buffer;
    for (size_t n = (size_t)got; n; ) {
        const char *nl = memchr(p, '\n', n);
        size_t part = nl ? (size_t)(nl - p) + 1 : n;
        if (!fifo_n) { fputs("a reply that nobody asked for\n", stderr); exit(1); }
        struct client *c = fifo[fifo_first];
        give(c, p, part);
        if (nl) {
            fifo_first = (fifo_first + 1) % fifo_room;
            fifo_n--;
            c->in_flight--;
            release(c);
        }
        p += part;
        n -= part;
    }
}

static void accept_some(void)
{
    for (int i = 0; i < ACCEPTS; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) return;
        struct client *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        c->fd = fd;
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
        read_client(c);                         /* it has mostly written by now */
        release(c);
    }
}

static void on_client(struct client *c, uint32_t events)
{
    if (events & EPOLLOUT && c->out.len) {
        if (!drain(c->fd, &c->out)) hang_up(c);
        else if (!c->out.len) {
            watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
            c->writing = false;
        }
    }
    if (c->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_client(c);
    release(c);
}

static void push_link(void)
{
    if (to_link.len && !drain(uplink, &to_link)) die("the link ended");
    bool blocked = to_link.len > 0;
    if (blocked != link_writing) watch(EPOLL_CTL_MOD, uplink, EPOLLIN | (blocked ? EPOLLOUT : 0u), &uplink);
    link_writing = blocked;
}

static void open_sockets(const char *path, int port)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (strlen(path) >= sizeof un.sun_path) { fputs("mux: path too long\n", stderr); exit(2); }
    strcpy(un.sun_path, path);
    uplink = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (uplink < 0 || connect(uplink, (struct sockaddr *)&in, sizeof in)) die("connect");
    setsockopt(uplink, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&un, sizeof un) || listen(listener, SOMAXCONN))
        die(path);
    watch(EPOLL_CTL_ADD, uplink, EPOLLIN, &uplink);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc != 3) { fputs("usage: mux SOCKET PORT\n", stderr); return 2; }
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    ep = epoll_create1(EPOLL_CLOEXEC);
    open_sockets(argv[1], atoi(argv[2]));
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(ep, events, EVENTS, -1);
        bool replies = false;                   /* last: it may end clients that this turn still names */
        for (int i = 0; i < n; i++) {
            void *who = events[i].data.ptr;
            if (who == &listener) accept_some();
            else if (who == &uplink) replies = events[i].events & ~(uint32_t)EPOLLOUT;
            else on_client(who, events[i].events);
        }
        push_link();
        if (replies) read_link();
    }
}
