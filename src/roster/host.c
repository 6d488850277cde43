/* SPDX-License-Identifier: Apache-2.0 */
#include "roster/host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/status.h"
#include "roster/roster.h"

/* Up to cap-1 bytes of a small file as text. -1: not readable. */
static ssize_t read_text(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t len = 0;
    while (len + 1 < cap) {
        ssize_t got = read(fd, out + len, cap - 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    close(fd);
    out[len] = '\0';
    return (ssize_t)len;
}

static uint64_t namespace_inode(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* Fields 2 (command), 4 (parent) and 22 (start time) of /proc/<pid>/stat, proc(5). */
static bool read_stat(int32_t pid, char command[32], int32_t *parent, uint64_t *born)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (read_text(path, text, sizeof(text)) <= 0)
        return false;
    /* The command may hold spaces and parentheses: its end is the last one. */
    char *open_at = strchr(text, '('), *close_at = strrchr(text, ')');
    if (!open_at || !close_at || close_at < open_at)
        return false;
    snprintf(command, 32, "%.*s", (int)(close_at - open_at - 1), open_at + 1);
    int field = 2;
    for (char *save = NULL, *word = strtok_r(close_at + 1, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        field++;
        if (field == 4)
            *parent = (int32_t)strtol(word, NULL, 10);
        if (field == 22) {
            *born = strtoull(word, NULL, 10);
            return true;
        }
    }
    return false;
}

weft_process weft_process_self(void)
{
    weft_process p = {.pid = (int32_t)getpid(), .space = namespace_inode("/proc/self/ns/pid")};
    char command[32];
    int32_t parent;
    if (!read_stat(p.pid, command, &parent, &p.born))
        p.born = 0;
    return p;
}

bool weft_process_dead(const weft_process *p)
{
    if (p->space == 0 || p->pid <= 0 || p->space != namespace_inode("/proc/self/ns/pid"))
        return false;
    if (kill((pid_t)p->pid, 0) != 0 && errno == ESRCH)
        return true;
    char command[32];
    int32_t parent;
    uint64_t born;
    return p->born != 0 && read_stat(p->pid, command, &parent, &born) && born != p->born;
}

bool weft_process_ancestor(const char *name, weft_process *ret)
{
    int32_t pid = (int32_t)getppid(), parent = 0;
    uint64_t born;
    char command[32];
    while (pid > 1 && read_stat(pid, command, &parent, &born)) {
        if (strncmp(command, name, strlen(name)) == 0) {
            *ret = (weft_process){.pid = pid, .born = born};
            return true;
        }
        pid = parent;
    }
    return false;
}

static void put(uint8_t *to, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

int weft_host_id(uint8_t out[16])
{
    char text[512] = "", machine[128], boot[128];
    if (read_text("/etc/machine-id", machine, sizeof(machine)) <= 0 &&
        read_text("/var/lib/dbus/machine-id", machine, sizeof(machine)) <= 0 &&
        gethostname(machine, sizeof(machine)) != 0)
        return weft_fail(WEFT_EIO, "host id: no machine id and no host name: %s", strerror(errno));
    machine[sizeof(machine) - 1] = '\0';
    /* Containers have machine ids of their own, one kernel only one boot. */
    if (read_text("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) <= 0)
        snprintf(boot, sizeof(boot), "%s", machine);
    put(out, weft_hash64(boot, strlen(boot)));
    const int len = snprintf(text, sizeof(text), "%s\n%s\nnet %llu", machine, boot,
                             (unsigned long long)namespace_inode("/proc/self/ns/net"));
    put(out + 8, weft_hash64(text, (size_t)len));
    return WEFT_OK;
}
