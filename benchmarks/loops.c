/* A worker of price.py: reads lines "WHAT TIMES" and answers each with the nanoseconds of the
 * processor that one round of that loop took, those of the kernel and its eBPF programs included.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void once(char what, const char *path)
{
	struct stat about;
	if (what == 'g')
		syscall(SYS_getppid);
	else if (what == 'o')
		close(open(path, O_RDONLY));
	else if (what == 's')
		stat(path, &about);
}

static double now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return at.tv_sec * 1e9 + at.tv_nsec;
}

int main(int argc, char **argv)
{
	char what;
	long times;
	if (argc == 2)
		while (scanf(" %c %ld", &what, &times) == 2) {
			double start = now();
			for (long i = 0; i < times; i++)
				once(what, argv[1]);
			printf("%.1f\n", (now() - start) / times);
			fflush(stdout);
		}
	return 0;
}
