# Runs a job on a host where no folder can be written: attached, nothing but this channel holds it.
# Before it stand: js_token js_began js_ignored js_commands (how many) and the functions
# js_variables and js_command_N. The job begins after the line `go`: then we know who it is.
js_main() {
  JS_TOKEN=$js_token; export JS_TOKEN
  js_group= js_session=- js_start= js_boot=-
  if [ -r "/proc/$$/stat" ]; then
    read -r js_l <"/proc/$$/stat"
    set -f; set -- ${js_l##*) }; set +f
    js_group=${3-} js_session=${4-} js_start=t${20-}
  else
    set -- $(LC_ALL=C ps -o pgid= -o lstart= -p "$$" 2>/dev/null)
    js_group=${1-} js_start=l${2-}_${3-}_${4-}_${5-}_${6-}
  fi
  # The login shell may lead the group, and on some servers the server itself: then only the token
  # counts, which needs /proc; a group with this number does not exist.
  if [ "$js_group" != "$$" ] && [ -r "/proc/$$/environ" ]; then js_group=9999999999 js_session=-; fi
  if [ -r /proc/sys/kernel/random/boot_id ]; then read -r js_boot </proc/sys/kernel/random/boot_id; fi
  echo "JS-BARE $js_token v=1 pid=$$ pgid=$js_group sid=$js_session start=$js_start boot=$js_boot uid=$(id -u) began=$js_began"
  read -r js_go || exit 0
  [ "$js_go" = go ] || exit 0
  SCHEDULER_RETURN_VALUES=/dev/null; export SCHEDULER_RETURN_VALUES
  js_n=1 js_rc=0
  while [ "$js_n" -le "$js_commands" ]; do
    ( js_variables; js_command_$js_n )
    js_rc=$?
    case " $js_ignored " in
      *' * '* | *" $js_rc "*) ;;
      *) if [ "$js_rc" -ne 0 ]; then exit "$js_rc"; fi ;;
    esac
    js_n=$((js_n + 1))
  done
  exit "$js_rc"
}
js_main
