import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from handful.runs.policies import SHIPPED


@pytest.mark.slow
def test_serves_a_page_on_loopback_alone_until_interrupted(start_process):
    process = start_process("view", "block-lifting", "--policy", "zero", "--port", "8712")
    line = process.stdout.readline()
    assert "http://127.0.0.1:" in line, process.stderr.read()
    url = line.split()[line.split().index("at") + 1]
    with urllib.request.urlopen(url, timeout=20) as page:
        assert b"<html" in page.read().lower()
    if sys.platform == "linux":
        port = f":{int(url.rpartition(':')[2]):04X}"
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
        listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(port)]
        assert listening == ["0100007F" + port]
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=30)
    assert process.returncode == 0 and error == "", error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--port", "0"), "expected a port from 1 to 65535, got 0"),
        (("--policy", "scriptd"), "did you mean 'scripted'"),
        (("--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
        (("--randomization", "ful"), "did you mean 'full'"),
        (("--seed", "-3"), "expected a seed from 0 to 4294967295, got -3"),
        (("--arm", "pandas"), "unknown arm 'pandas': did you mean 'panda'? The choices are: panda, jaco."),
        (
            ("--arm", "panda", "--policy", str(SHIPPED / "block-lifting")),
            "was trained with the arm jaco, not with panda",
        ),
    ],
)
def test_bad_input_gets_one_clear_sentence(handful, words, message):
    status, _, error = handful("view", "block-lifting", *words)
    assert status == 2 and message in error and error.count("\n") == 1
