# The run's own process: records who it is, runs the commands, keeps their exit status.
# Before it stand: js_ignored (exit codes after which to go on) js_stderr (`stops` or -) js_began js_uid.
# Arguments: run directory, umask of the login, `tell` when the channel on descriptor 3 shall hear of
# the end, shell. What is not a builtin costs a process, so little of it is used here.
js_d=$1 js_umask=$2 js_tell=$3
shift 3
js_shell=$*
umask 077
JS_TOKEN=${js_d##*/}; export JS_TOKEN
js_ident() { # pid -> js_group js_session js_start
  js_group= js_session=- js_start=
  if [ -r /proc/1/stat ] || [ -r "/proc/$$/stat" ]; then
    read -r js_l 2>/dev/null <"/proc/$1/stat" || return 1
    set -f; set -- ${js_l##*) }; set +f
    js_group=${3-} js_session=${4-} js_start=t${20-}
  else
    set -- $(LC_ALL=C ps -o pgid= -o lstart= -p "$1" 2>/dev/null)
    js_group=${1-} js_start=l${2-}_${3-}_${4-}_${5-}_${6-}
  fi
}
js_extra=
if [ -f "$js_d/pidcmd" ]; then # a pid the job's own command prints: additional, never the only one
  js_x=$($js_shell "$js_d/pidcmd" 2>/dev/null </dev/null 3>&-)
  case $js_x in
    '' | *[!0-9]*) ;;
    *) if js_ident "$js_x"; then js_extra="xpid=$js_x xstart=$js_start"; fi ;;
  esac
fi
js_ident $$
if [ "$js_group" != "$$" ]; then # not the leader of a group: become one, once
  if [ -z "${JS_LEADER-}" ] && command -v setsid >/dev/null 2>&1; then
    JS_LEADER=1; export JS_LEADER
    exec setsid $js_shell "$js_d/run" "$js_d" "$js_umask" "$js_tell" $js_shell
  fi
  echo "no process group of its own" >"$js_d/refused"
  if [ "$js_tell" = tell ]; then echo "JS-END $JS_TOKEN" >&3; fi
  exit 125
fi
unset JS_LEADER
js_boot=-
if [ -r /proc/sys/kernel/random/boot_id ]; then read -r js_boot </proc/sys/kernel/random/boot_id; fi
: >"$js_d/rv"
# One write; whoever reads it does not take it for a record before its line has ended.
printf 'v=1 pid=%s pgid=%s sid=%s start=%s boot=%s uid=%s began=%s %s\n' \
  "$$" "$js_group" "$js_session" "$js_start" "$js_boot" "$js_uid" "$js_began" "$js_extra" >"$js_d/id" || exit 125
SCHEDULER_RETURN_VALUES=$js_d/rv; export SCHEDULER_RETURN_VALUES
js_stops() { # exit status -> whether the next command must not run
  if [ "$js_stderr" = stops ] && [ -s "$js_d/err" ]; then return 0; fi
  case " $js_ignored " in *' * '* | *" $1 "*) return 1 ;; esac
  [ "$1" -ne 0 ]
}
# A command, not '': what is ignored stays ignored in every child.
trap : HUP INT TERM PIPE
(
  trap - HUP INT TERM PIPE
  exec 3>&-
  umask "$js_umask"
  if [ -f "$js_d/env" ]; then . "$js_d/env"; fi # begins by removing itself
  js_n=1
  while [ -f "$js_d/cmd.$((js_n + 1))" ]; do
    $js_shell "$js_d/cmd.$js_n"
    js_rc=$?
    if js_stops "$js_rc"; then exit "$js_rc"; fi
    js_n=$((js_n + 1))
  done
  exec $js_shell "$js_d/cmd.$js_n"
) &
js_c=$!
# A trapped signal interrupts `wait`: wait again as long as the child is there.
while wait "$js_c"; js_rc=$?; kill -0 "$js_c" 2>/dev/null; do :; done
wait "$js_c" 2>/dev/null
js_again=$?
if [ "$js_again" -ne 127 ]; then js_rc=$js_again; fi
echo "$js_rc" >"$js_d/rc"
if [ "$js_tell" = tell ]; then { echo "JS-END $JS_TOKEN" >&3; } 2>/dev/null; fi
exit "$js_rc"
