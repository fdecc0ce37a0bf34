# Stands over one task: starts its program and writes down what becomes of it, so that the agent may
# be killed, restarted or replaced meanwhile.
#
# Arguments: run folder, limit of open files, program, its arguments. Descriptor 3 is told the start,
# descriptor 4 is the program's standard error. It writes these lines into `state` in the run folder:
#   the line of /proc/self/stat of this shell, then that of the program
#   what this shell says when a signal has ended the program
#   exit N, the program's exit code, 128 + S when signal S ended it
set -C
run=$1 files=$2
shift 2
read -r line </proc/self/stat || exit 70
# A run folder serves one start: whoever makes this file first decides whether there is one.
printf '%s\n' "$line" >"$run/state" || exit 70
exec 2>>"$run/state"
# `kill 0` in the program reaches this shell too. Caught signals are at their default again in there.
trap : HUP INT QUIT TERM USR1 USR2 ALRM VTALRM PROF
(
    trap : PIPE
    ulimit -S -n "$files" 2>/dev/null
    read -r line </proc/self/stat
    printf '%s\n' "$line" >>"$run/state"
    printf '%s\n' "$line" >&3
    exec "$@" 2>&4 3>&- 4>&-
)
code=$?
printf 'exit %s\n' "$code" >>"$run/state"
