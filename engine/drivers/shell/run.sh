# The run's own process: records who it is, runs the commands, keeps their exit status.
# Arguments: run directory, umask of the login, shell.
js_d=$1 js_umask=$2
shift 2
js_shell=$*
umask 077
JS_TOKEN=${js_d##*/}; export JS_TOKEN
js_ident() { # pid -> "pgid sid start"
  if [ -r /proc/1/stat ]; then
    read -r js_l 2>/dev/null <"/proc/$1/stat" || return 1
    set -f; set -- ${js_l##*) }; set +f
    [ -n "${20-}" ] && echo "$3 $4 t${20}"
  else
    set -- $(LC_ALL=C ps -o pgid= -o lstart= -p "$1" 2>/dev/null)
    [ $# -ge 6 ] && echo "$1 - l$2_$3_$4_$5_$6"
  fi
}
set -- $(js_ident $$)
if [ "${1-}" != "$$" ]; then # not the leader of a group: become one, once
  if [ -z "${JS_LEADER-}" ] && command -v setsid >/dev/null 2>&1; then
    JS_LEADER=1; export JS_LEADER
    exec setsid $js_shell "$js_d/run" "$js_d" "$js_umask" $js_shell
  fi
  echo "no process group of its own" >"$js_d/refused"
  exit 125
fi
unset JS_LEADER
js_boot=-
if [ -r /proc/sys/kernel/random/boot_id ]; then read -r js_boot </proc/sys/kernel/random/boot_id; fi
js_extra=
if [ -f "$js_d/pidcmd" ]; then # a pid the job's own command prints: additional, never the only one
  js_x=$($js_shell "$js_d/pidcmd" 2>/dev/null </dev/null)
  case $js_x in
    '' | *[!0-9]*) ;;
    *) js_i=$(js_ident "$js_x") && js_extra="xpid=$js_x xstart=${js_i##* }" ;;
  esac
fi
printf 'v=1 pid=%s pgid=%s sid=%s start=%s boot=%s uid=%s began=%s %s\n' \
  "$$" "$1" "$2" "$3" "$js_boot" "$(id -u)" "$(date +%s)" "$js_extra" >"$js_d/id.new" &&
  mv "$js_d/id.new" "$js_d/id" || exit 125
: >"$js_d/rv"
SCHEDULER_RETURN_VALUES=$js_d/rv; export SCHEDULER_RETURN_VALUES
{ read -r js_ignored; read -r js_stderr; } <"$js_d/rules"
js_stops() { # exit status -> whether the next command must not run
  if [ "$js_stderr" = stops ] && [ -s "$js_d/err" ]; then return 0; fi
  case " $js_ignored " in *' * '* | *" $1 "*) return 1 ;; esac
  [ "$1" -ne 0 ]
}
# A command, not '': what is ignored stays ignored in every child.
trap : HUP INT TERM PIPE
(
  trap - HUP INT TERM PIPE
  js_env=
  if [ -f "$js_d/env" ]; then js_env=$(cat "$js_d/env"); rm -f "$js_d/env"; fi
  umask "$js_umask"
  eval "$js_env"
  unset js_env
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
echo "$js_rc" >"$js_d/rc.new" && mv "$js_d/rc.new" "$js_d/rc"
exit "$js_rc"
