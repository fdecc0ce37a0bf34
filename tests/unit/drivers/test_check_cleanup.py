"""`pointsman check`: whether the cleanup chain of an SSH job is there."""

from datetime import UTC, datetime
from pathlib import Path

from engine.codec.xml.findings import Severity
from engine.drivers.check import check_folder
from engine.kernel.instants import from_datetime
from tests.support.ssh_engine import CLEANUP_CHAIN, KILL_JOB, READ_PID_JOB, ssh_job_xml

NOW = from_datetime(datetime(2030, 1, 1, tzinfo=UTC))
WATCH = {"runWithWatchdog": "true", "cleanupJobchain": "kill_jobs/remote_cleanup_test"}


def errors(folder: Path) -> list[str]:
    found = check_folder(folder, environment={}, now=NOW)
    return [str(one) for one in found if one.severity is Severity.ERROR]


def test_a_missing_cleanup_chain_is_told_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.job.xml").write_text(ssh_job_xml(WATCH))
    (finding,) = errors(tmp_path)
    assert "kill_jobs/remote_cleanup_test" in finding
    assert "each step would fail" in finding


def test_a_cleanup_chain_is_found_from_the_root_or_beside_its_job(tmp_path: Path) -> None:
    (tmp_path / "kill_jobs").mkdir()
    (tmp_path / "sub/kill_jobs").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "sub"):
        (folder / "a.job.xml").write_text(ssh_job_xml(WATCH))
        (folder / "kill_jobs/readPidFile.job.xml").write_text(READ_PID_JOB)
        (folder / "kill_jobs/CheckAndKill.job.xml").write_text(KILL_JOB)
        (folder / "kill_jobs/remote_cleanup_test.job_chain.xml").write_text(CLEANUP_CHAIN)
    assert errors(tmp_path) == []
