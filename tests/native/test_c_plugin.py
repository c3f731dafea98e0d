"""examples/c_plugin: a program in C on the installed static library has the numbers of Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import simdrnn as sr
from helpers_native import ROOT, installed, needed, run
from helpers_shared import made_once
from simdrnn.dialects import Chain

EXAMPLE = ROOT / "examples" / "c_plugin"

pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="examples are not beside the tests")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """Build the example as its README says; return the program."""
    (cmake,) = needed("cmake")
    needed("cc", "c++")

    def make(folder):
        prefix = installed(folder / "installed")
        run(cmake, "-S", EXAMPLE, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
        run(cmake, "--build", folder / "build")

    return made_once(tmp_path_factory, "plugin", make) / "build" / "plugin"


def test_it_has_the_numbers_of_python(plugin, tmp_path):
    model = Chain([sr.LSTM(2, 16, num_layers=2, seed=0), sr.Linear(16, 3, seed=1), "tanh"])
    model.save(tmp_path / "model.simdrnn")
    x = np.random.default_rng(0).standard_normal((1000, 1, 2)).astype("float32")
    expected, _ = model(x)

    for block in ("1", "64", "1000"):
        done = run(plugin, tmp_path / "model.simdrnn", block, input=x.tobytes())
        assert done.stdout == expected.tobytes()


def test_pkg_config_tells_what_to_link(tmp_path):
    compiler, asked = needed("cc", "pkg-config")
    prefix = installed(tmp_path / "installed")
    (place,) = {file.parent for file in prefix.rglob("simdrnn.pc")}
    flags = run(asked, "--cflags", "--libs", "simdrnn", env=os.environ | {"PKG_CONFIG_PATH": place})
    model = sr.GRU(1, 8, seed=0)
    model.save(tmp_path / "model.simdrnn")
    x = np.random.default_rng(0).standard_normal((100, 1, 1)).astype("float32")

    program = tmp_path / "plugin"
    run(compiler, "-std=c99", EXAMPLE / "plugin.c", "-o", program, *flags.stdout.decode().split())

    done = run(program, tmp_path / "model.simdrnn", input=x.tobytes())
    assert done.stdout == model(x)[0].tobytes()


# Nothing else is seen of it, as plug-ins have it: so nothing of the compiler's keeps it loaded.
UNLOADED = r"""
#include <stdlib.h>
#include "simdrnn/simdrnn.h"
int plug(const char *path) {
  static float x[32 * 64 * 128], y[32 * 64 * 256];
  simdrnn_model *model;
  simdrnn_stream *stream;
  int status = simdrnn_model_open(path, &model);
  if (status == SIMDRNN_OK) status = simdrnn_stream_open(model, 32, 2, &stream);
  if (status == SIMDRNN_OK) status = simdrnn_feed_f32(stream, 64, x, y);
  simdrnn_stream_close(stream);
  simdrnn_model_close(model);
  return status;
}
"""
HOST = r"""
#include <dlfcn.h>
int main(int count, char **arguments) {
  for (int time = 0; time < 20; ++time) {
    void *plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    int (*plug)(const char *) = plugin == 0 ? 0 : (int (*)(const char *))dlsym(plugin, "plug");
    if (count != 3 || plug == 0 || plug(arguments[2]) != 0 || dlclose(plugin) != 0) return 1;
  }
  return 0;
}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what other linkers do is another matter")
def test_threads_of_a_plugin_outlive_its_unloading(tmp_path):
    compiler, cmake = needed("cc", "cmake")
    prefix = installed(tmp_path / "installed")
    sr.LSTM(128, 256, seed=0).save(tmp_path / "model.simdrnn")
    (tmp_path / "plug.c").write_text(UNLOADED)
    (tmp_path / "host.c").write_text(HOST)
    (tmp_path / "plug.map").write_text("{ global: plug; local: *; };")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18...4.0)\nproject(plug LANGUAGES C CXX)\n"
        "find_package(simdrnn REQUIRED)\nadd_library(plug MODULE plug.c)\n"
        "target_link_libraries(plug PRIVATE simdrnn::simdrnn)\n"
        "target_link_options(plug PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/plug.map)\n"
    )
    run(cmake, "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run(cmake, "--build", tmp_path / "build")
    run(compiler, "-std=gnu99", tmp_path / "host.c", "-o", tmp_path / "host", "-ldl")

    run(tmp_path / "host", tmp_path / "build" / "libplug.so", tmp_path / "model.simdrnn")


def test_it_needs_no_python(plugin):
    ldd = shutil.which("ldd")
    if ldd is None:
        pytest.skip("needs ldd")

    assert b"python" not in run(ldd, plugin).stdout


def test_it_says_what_is_wrong_with_a_file(plugin, tmp_path):
    (tmp_path / "model.simdrnn").write_bytes(b"music")

    done = subprocess.run([plugin, tmp_path / "model.simdrnn"], capture_output=True, check=False)

    assert done.returncode == 1
    assert b"it ends before its header" in done.stderr


def test_the_header_is_plain_c99_and_cpp(tmp_path):
    (compiler,) = needed("cc")
    (tmp_path / "a.c").write_text('#include "simdrnn/simdrnn.h"\nint main(void) { return 0; }\n')
    strict = ["-std=c99", "-pedantic-errors", "-Wall", "-Wextra", "-Werror"]

    run(compiler, *strict, "-fsyntax-only", f"-I{sr.get_include()}", tmp_path / "a.c")
    run(compiler, "-std=c++11", *strict[1:], "-fsyntax-only", "-x", "c++",
        f"-I{sr.get_include()}", tmp_path / "a.c")  # fmt: skip


# Allocations are counted by functions in the place of the library's own.
COUNTING = r"""
#include <stdio.h>
#include <stdlib.h>
#include "simdrnn/simdrnn.h"
extern void *__libc_malloc(size_t);
static long counted;
void *malloc(size_t size) { ++counted; return __libc_malloc(size); }
int main(int count, char **arguments) {
  simdrnn_model *model;
  simdrnn_stream *stream;
  simdrnn_info info;
  float x[64] = {0}, y[64], state[4096];
  int64_t row = 0;
  long before;
  if (count != 2 || simdrnn_model_open(arguments[1], &model) != SIMDRNN_OK) return 1;
  if (simdrnn_stream_open(model, 2, 1, &stream) != SIMDRNN_OK) return 1;
  simdrnn_stream_info(stream, &info, NULL);
  if (info.state_size > 4096 || info.input_size > 8 || info.output_size > 8) return 1;
  before = counted;
  for (int t = 0; t < 1000; ++t) {
    simdrnn_call_f32 call = {x, y, 3, &row, 1, NULL};
    if (simdrnn_step_f32(stream, x, y) != SIMDRNN_OK) return 1;
    if (simdrnn_feed_f32(stream, 4, x, y) != SIMDRNN_OK) return 1;
    if (simdrnn_run_f32(stream, &call) != SIMDRNN_OK) return 1;
    if (simdrnn_reset(stream, &row, 1) != SIMDRNN_OK) return 1;
    if (simdrnn_state_get_f32(stream, 1, state) != SIMDRNN_OK) return 1;
    if (simdrnn_state_set_f32(stream, 0, state) != SIMDRNN_OK) return 1;
    if (simdrnn_step_f32(stream, NULL, y) == SIMDRNN_OK) return 1;
  }
  printf("%ld", counted - before);
  simdrnn_stream_close(stream);
  simdrnn_model_close(model);
  return 0;
}
"""


def test_nothing_is_allocated_while_streaming(tmp_path):
    compiler, _ = needed("cc", "c++")
    prefix = installed(tmp_path / "installed")
    (library,) = prefix.rglob("libsimdrnn.a")
    source, program = tmp_path / "counting.c", tmp_path / "counting"
    source.write_text(COUNTING)
    Chain([sr.GRU(3, 32, num_layers=2, seed=0), sr.Linear(32, 4, seed=1), "softmax"]).save(
        tmp_path / "model.simdrnn"
    )

    run(compiler, "-std=gnu99", source, f"-I{prefix}/include", library, "-o", program,
        "-lstdc++", "-lm", "-ldl", "-lpthread", "-lgomp")  # fmt: skip

    assert run(program, tmp_path / "model.simdrnn").stdout == b"0"
