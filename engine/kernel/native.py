"""Which of the original's Java classes have an implementation in this engine.

A job or monitor names a class; the table tells the kind of native code that stands in. Kinds are
the vocabulary of `NativeScript.kind` and `RunNative.kind`. Sources: ssh-and-jitl.md 1.1 and 5.2,
agents.md 7, orders-and-jobs.md 1.11.3 and 9.2.
"""

from collections.abc import Mapping
from types import MappingProxyType

SPLIT = "split"
"""One child order per available agent of the successor's process class."""
SYNC = "sync"
"""Orders wait for each other at the nodes of one job."""
SSH = "ssh"
"""Commands on a host reached by SSH."""
SSH_READ_PID = "ssh_read_pid"
"""First cleanup job of the SSH session management: reads the pid file."""
SSH_KILL = "ssh_kill"
"""Second cleanup job: checks and ends what is left over."""
CONFIGURATION_MONITOR = "configuration_monitor"
"""Monitor: node parameters from `*.config.xml`."""
FILE_ORDER_SINK = "file_order_sink"
"""The built-in job of file order sinks; it has no class."""

SINK_TARGET = "pointsman.sink.move_to"
"""The demand's parameter with a sink's `move_to`; absent: the file is deleted."""

NATIVE_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "pointsman.jobs.SplitOrderByAgents": SPLIT,
        "com.sos.jitl.sync.JobSchedulerSynchronizeJobChainsJSAdapterClass": SYNC,
        "com.sos.jitl.sync.JobSchedulerSynchronizeJobChains": SYNC,
        "sos.scheduler.job.JobSchedulerSynchronizeJobChains": SYNC,
        "sos.scheduler.job.JobSchedulerSynchronizeJobChainsJSAdapterClass": SYNC,
        "sos.scheduler.job.SOSSSHJob2JSAdapter": SSH,
        "sos.scheduler.job.SOSSSHJob2": SSH,
        "sos.scheduler.job.SOSSSHJob": SSH,
        "sos.scheduler.job.JobSchedulerSSHJob": SSH,
        "sos.scheduler.job.JobSchedulerSSHJob_deprecated": SSH,
        "sos.scheduler.job.SOSSSHReadPidFileJobJSAdapter": SSH_READ_PID,
        "sos.scheduler.job.SOSSSHReadPidFileJob": SSH_READ_PID,
        "sos.scheduler.job.SOSSSHKillJobJSAdapter": SSH_KILL,
        "sos.scheduler.job.SOSSSHKillJob": SSH_KILL,
        "sos.scheduler.job.SOSSSHCheckRemotePidJob": SSH_KILL,
        "sos.scheduler.job.SOSSSHTerminateRemotePidJob": SSH_KILL,
        "sos.scheduler.job.SOSSSHKillRemotePidJob": SSH_KILL,
        "sos.scheduler.managed.configuration.ConfigurationOrderMonitor": CONFIGURATION_MONITOR,
        "com.sos.jitl.configurationmonitor.job.ConfigurationMonitor": CONFIGURATION_MONITOR,
        "com.sos.jitl.jobchainnodeparameter.monitor.JobchainNodeSubstituteMonitor": (
            CONFIGURATION_MONITOR
        ),
    }
)


def native_kind(java_class: str) -> str | None:
    """Return the kind that stands in for a Java class, or None when the engine has none."""
    return NATIVE_KINDS.get(java_class.strip())
