import subprocess
import sys


def jaxemb(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "jaxemb", *arguments], capture_output=True, text=True, timeout=300, check=False, **kwargs
    )
