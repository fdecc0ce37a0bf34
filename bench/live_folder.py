"""Time to load a live folder, to look at it again, to check it, and to answer meanwhile.

    python bench/live_folder.py [FILES ...]

Default: 1250 2500 5000 10000 files in a temporary folder: jobs, job chains, orders, locks. The time
a file must stay the same when their number doubles. The last column is the longest time that the
event loop could not do anything else while the folder was read in its thread.
"""

import asyncio
import sys
import tempfile
import time
from datetime import UTC
from pathlib import Path

from engine.drivers.check import check_folder
from engine.drivers.folder_watch import LiveFolder
from engine.kernel.commands import ApplyDefinitions

JOB = """<?xml version="1.0" encoding="ISO-8859-1"?>
<job order="yes" stop_on_error="no" title="job">
  <params><param name="a" value="$HOME"/><param name="b" value="2"/></params>
  <script language="shell"><![CDATA[
echo "$SCHEDULER_PARAM_A"
]]></script>
  <delay_order_after_setback setback_count="1" delay="10"/>
  <run_time><period begin="08:00" end="20:00"/></run_time>
</job>
"""
CHAIN = """<job_chain title="chain">
  <job_chain_node state="1" job="a{0}" next_state="2" error_state="e"/>
  <job_chain_node state="2" job="b{0}" error_state="e"/>
  <job_chain_node.end state="s"/><job_chain_node.end state="e"/>
</job_chain>
"""
ORDER = """<order title="order">
  <params><param name="x" value="1"/></params>
  <run_time><weekdays><day day="1 2 3"><period single_start="10:00"/></day></weekdays></run_time>
</order>
"""


def fill(root: Path, count: int) -> None:
    """Write so many files in 40 folders."""
    for number in range(count // 5):
        folder = root / f"folder{number % 40}"
        folder.mkdir(exist_ok=True, parents=True)
        for name, text in (
            (f"a{number}.job.xml", JOB),
            (f"b{number}.job.xml", JOB),
            (f"c{number}.job_chain.xml", CHAIN.format(number)),
            (f"c{number},1.order.xml", ORDER),
            (f"l{number}.lock.xml", "<lock/>"),
        ):
            (folder / name).write_text(text)


async def longest_gap(root: Path) -> float:
    """Return the longest pause of the event loop while a folder is loaded."""
    done = asyncio.Event()

    async def submit(_: ApplyDefinitions) -> None:
        done.set()

    task = asyncio.create_task(LiveFolder(root, {}, UTC).run(submit, with_notices=False))
    longest, before = 0.0, time.perf_counter()
    while not done.is_set():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return longest


def main() -> None:
    """Measure each number of files."""
    print("files   load s  ms a file  again s  check s  pause ms")
    for count in [int(word) for word in sys.argv[1:]] or [1250, 2500, 5000, 10000]:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            fill(root, count)
            watcher = LiveFolder(root, {}, UTC)
            begin = time.perf_counter()
            watcher.scan()
            loaded = time.perf_counter() - begin
            begin = time.perf_counter()
            watcher.scan()
            again = time.perf_counter() - begin
            begin = time.perf_counter()
            findings = check_folder(root)
            checked = time.perf_counter() - begin
            assert not findings, findings[0]
            pause = asyncio.run(longest_gap(root)) * 1000
        print(
            f"{count:5}  {loaded:7.2f}  {loaded / count * 1000:9.2f}  {again:7.3f}"
            f"  {checked:7.2f}  {pause:8.0f}"
        )


if __name__ == "__main__":
    main()
