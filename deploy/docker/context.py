"""Checks that the build context has what the stage `built` of the Dockerfile compiles, without the compiler's image.

    context.py FOLDER       a folder with the files that .dockerignore lets in

Every member of the workspace must be there, and every file that a program includes by `include_str!`, `include_bytes!` or `migrate!`. Prints the number
of included files, or a line for each missing one; exit status 1 if one is missing.
"""

import json
import pathlib
import re
import subprocess
import sys

folder = pathlib.Path(sys.argv[1]).resolve()
# Tests and benchmarks are not compiled in the image.
LEFT_OUT = {"tests", "benches", "target"}
INCLUDES = re.compile(r'\b(?:include_str|include_bytes|migrate)!\(\s*"([^"]+)"')

answer = subprocess.run(
    ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"], cwd=folder, capture_output=True, text=True, check=False
)
if answer.returncode:
    sys.exit(f"cargo cannot read the workspace of the context: {answer.stderr.strip()}")
missing, count = [], 0
for package in json.loads(answer.stdout)["packages"]:
    root = pathlib.Path(package["manifest_path"]).parent
    for target in package["targets"]:
        if target["kind"][0] in ("bin", "lib", "custom-build") and not pathlib.Path(target["src_path"]).is_file():
            missing.append(f"{package['name']}: {target['src_path']}")
    for source in root.rglob("*.rs"):
        inner = source.relative_to(root).parts
        # A file below another member belongs to that member.
        if LEFT_OUT & set(inner[:-1]) or any((root / pathlib.Path(*inner[:depth]) / "Cargo.toml").is_file() for depth in range(1, len(inner))):
            continue
        text = source.read_text(encoding="utf-8")
        for found in INCLUDES.finditer(text):
            line = text[: found.start()].rsplit("\n", 1)[-1]
            if line.lstrip().startswith("//"):
                continue
            count += 1
            base = root if "migrate!" in found.group(0) else source.parent
            if not (base / found.group(1)).exists():
                missing.append(f"{source.relative_to(folder)} includes {found.group(1)}")
if missing:
    sys.exit("\n".join(missing))
print(f"{count} included files")
