"""What all tests of the package share."""

import subprocess

import pytest
from hypothesis import settings

# A test must not fail because its machine is busy with something else.
settings.register_profile("hitring", deadline=None, print_blob=True)
settings.load_profile("hitring")

# A sync of the log that fails as often as the file $HITRING_FAILS says.
FAILING_SYNC = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int descriptor) {
    char link[64], path[4096];
    const char *counter = getenv("HITRING_FAILS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (counter == NULL || length < 4 || strncmp(path + length - 4, "-wal", 4) != 0)
        return 0;
    int left = 0;
    FILE *file = fopen(counter, "r+");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &left) == 1 && left > 0) {
        rewind(file);
        fprintf(file, "%d     ", left - 1);
    }
    fclose(file);
    return left > 0;
}

#define FAILING(name)                                                   \
    int name(int descriptor) {                                          \
        static int (*real)(int);                                        \
        if (real == NULL)                                               \
            real = (int (*)(int))dlsym(RTLD_NEXT, #name);               \
        if (fails(descriptor)) {                                        \
            errno = EIO;                                                \
            return -1;                                                  \
        }                                                               \
        return real(descriptor);                                        \
    }

FAILING(fsync)
FAILING(fdatasync)
"""


@pytest.fixture(scope="module")
def failing_sync(tmp_path_factory):
    """The environment of a server whose syncs fail, and the file that says how often."""
    folder = tmp_path_factory.mktemp("failing")
    (folder / "failing.c").write_text(FAILING_SYNC)
    library = folder / "failing.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "failing.c", "-ldl"], check=True, timeout=60)
    fails = folder / "fails"
    fails.write_text("0     ")
    return {"LD_PRELOAD": str(library), "HITRING_FAILS": str(fails)}, fails
