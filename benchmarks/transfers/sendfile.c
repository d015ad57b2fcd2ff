/* The yardstick: one file over one TCP connection, by sendfile on one end, read and write on the other.
 *   sendfile send FILE          prints its port and sends FILE to the first who connects
 *   sendfile receive PORT FILE  connects and writes FILE
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (1 << 20)

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int send_file(const char *path) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct stat found;
    int file = open(path, O_RDONLY), listening = socket(AF_INET, SOCK_STREAM, 0);
    if (file < 0 || fstat(file, &found)) fail(path);
    if (bind(listening, (struct sockaddr *)&address, length) || listen(listening, 1)) fail("listen");
    if (getsockname(listening, (struct sockaddr *)&address, &length)) fail("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int peer = accept(listening, NULL, NULL);
    if (peer < 0) fail("accept");
    for (off_t done = 0; done < found.st_size;)
        if (sendfile(peer, file, &done, found.st_size - done) <= 0) fail("sendfile");
    return 0;
}

static int receive_file(int port, const char *path) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char *block = malloc(BLOCK);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), peer = socket(AF_INET, SOCK_STREAM, 0);
    if (file < 0) fail(path);
    if (connect(peer, (struct sockaddr *)&address, sizeof address)) fail("connect");
    for (ssize_t got; (got = read(peer, block, BLOCK)) != 0;) {
        if (got < 0) fail("read");
        for (ssize_t put, done = 0; done < got; done += put)
            if ((put = write(file, block + done, got - done)) < 0) fail("write");
    }
    return 0;
}

int main(int count, char **words) {
    if (count == 3 && !strcmp(words[1], "send")) return send_file(words[2]);
    if (count == 4 && !strcmp(words[1], "receive")) return receive_file(atoi(words[2]), words[3]);
    fprintf(stderr, "usage: sendfile send FILE | sendfile receive PORT FILE\n");
    return 2;
}
