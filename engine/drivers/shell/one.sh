# Signals one process that belongs to no run, if it is still the one that was shown.
# Before it stand: js_pid js_start js_act (check, TERM, ...).
js_main() {
  js_l=
  if [ -r "/proc/$$/stat" ]; then
    read -r js_l 2>/dev/null <"/proc/$js_pid/stat"
    set -f; set -- ${js_l##*) }; set +f
    js_now=t${20-} js_state=${1-}
    js_own=no
    if [ -O "/proc/$js_pid" ]; then js_own=yes; fi
  else
    set -- $(LC_ALL=C ps -o stat= -o uid= -o lstart= -p "$js_pid" 2>/dev/null)
    js_now=l${3-}_${4-}_${5-}_${6-}_${7-} js_state=${1-}
    js_own=no
    if [ "${2-}" = "$(id -u)" ]; then js_own=yes; fi
  fi
  case $js_state in
    '') echo "JS-VERDICT verdict=gone rc="; return 0 ;;
    [ZX]*) echo "JS-VERDICT verdict=gone rc= why=zombie"; return 0 ;;
  esac
  if [ "$js_now" != "$js_start" ] || [ $js_own = no ] || [ "$js_pid" -le 1 ] || [ "$js_pid" = $$ ]; then
    echo "JS-VERDICT verdict=unsure why=changed pids="; return 0
  fi
  js_after=alive js_sent=
  if [ "$js_act" != check ]; then
    kill -s "$js_act" "$js_pid" 2>/dev/null && js_sent=1
    sleep 0.05 2>/dev/null || sleep 1
    if ! kill -0 "$js_pid" 2>/dev/null; then js_after=gone; fi
  fi
  echo "JS-VERDICT verdict=alive leader=ours rc= act=$js_act after=$js_after sent=$js_sent why= pids=$js_pid:$js_now:group"
}
js_main
exit 0
