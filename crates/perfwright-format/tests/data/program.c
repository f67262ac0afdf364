#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static inline __attribute__((always_inline)) unsigned mix(unsigned h, unsigned char byte) { return (h ^ byte) * 16777619u; }
__attribute__((noinline)) unsigned hash(const char *text) {
    unsigned h = 2166136261u;
    for (; *text; text++) h = mix(h, (unsigned char)*text);
    return h;
}
__attribute__((noinline)) unsigned fold(unsigned depth, const char *text) {
    if (depth == 0) return hash(text);
    return hash(text) + fold(depth - 1, text);
}
static inline __attribute__((always_inline)) char *copy_of(const char *text) { char *copy = malloc(strlen(text) + 1); return strcpy(copy, text); }
__attribute__((noinline)) char *load(int row) {
    char line[64];
    snprintf(line, sizeof line, "row %d of the table", row);
    return copy_of(line);
}
__attribute__((noinline)) unsigned odd(unsigned n);
__attribute__((noinline)) unsigned even(unsigned n) { return n == 0 ? 1 : odd(n - 1) + 1; }
__attribute__((noinline)) unsigned odd(unsigned n) { return n == 0 ? 0 : even(n - 1) + 2; }
__attribute__((noinline)) unsigned work(int rows) {
    unsigned sum = 0;
    char *kept[16] = {0};
    for (int row = 0; row < rows; row++) {
        char *line = load(row);
        sum += fold(row % 5, line) + even(row % 7);
        free(kept[row % 16]);
        kept[row % 16] = line;
    }
    return sum;
}
void *worker(void *rows) {
    pthread_setname_np(pthread_self(), "worker");
    return (void *)(size_t)work((int)(size_t)rows);
}
/* ROWS [THREADS] */
int main(int argc, char **argv) {
    int rows = argc > 1 ? atoi(argv[1]) : 60, threads = argc > 2 ? atoi(argv[2]) : 0;
    pthread_t ids[8];
    for (int at = 0; at < threads; at++) pthread_create(&ids[at], NULL, worker, (void *)(size_t)(rows / 2));
    printf("%u\n", work(rows));
    for (int at = 0; at < threads; at++) pthread_join(ids[at], NULL);
    return 0;
}
