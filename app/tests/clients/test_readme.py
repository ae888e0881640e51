"""The first order of the README, as a newcomer types it."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[3] / "README.md"


def test_the_first_order_works_as_written(endpoints, market, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / ".run").mkdir()
    (tmp_path / ".run" / "endpoints.json").write_text(json.dumps(endpoints))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    order = ast.literal_eval(done.stdout)
    assert (order["symbol"], order["status"], order["side"]) == ("BTC/USDT", "open", "buy")
