# Signals one process that belongs to no run, if it is still the one that was shown.
# Before it stand: js_pid js_start js_act (check, TERM, ...).
js_see() { # -> js_now js_state js_own; js_state is empty when there is no such process
  js_l= js_now= js_state= js_own=no
  if [ -r "/proc/$$/stat" ]; then
    read -r js_l 2>/dev/null <"/proc/$js_pid/stat" || return 0
    set -f; set -- ${js_l##*) }; set +f
    js_now=t${20-} js_state=${1-}
    if [ -O "/proc/$js_pid" ]; then js_own=yes; fi
  else
    set -- $(LC_ALL=C ps -o stat= -o uid= -o lstart= -p "$js_pid" 2>/dev/null)
    js_now=l${3-}_${4-}_${5-}_${6-}_${7-} js_state=${1-}
    if [ "${2-}" = "$(id -u)" ]; then js_own=yes; fi
  fi
  case $js_state in [ZX]*) js_state= ;; esac
}
js_main() {
  js_see
  if [ -z "$js_state" ]; then echo "JS-VERDICT verdict=gone rc="; return 0; fi
  if [ "$js_now" != "$js_start" ] || [ $js_own = no ] || [ "$js_pid" -le 1 ] || [ "$js_pid" = $$ ]; then
    echo "JS-VERDICT verdict=unsure why=changed pids="; return 0
  fi
  js_was=$js_now js_after=alive js_sent=
  if [ "$js_act" != check ] && kill -s "$js_act" "$js_pid" 2>/dev/null; then
    js_sent=1
    for js_n in 1 2 3 4 5 6 7 8 9 10; do # most processes need a moment to go
      js_see
      if [ "$js_now" != "$js_was" ] || [ -z "$js_state" ]; then js_after=gone; break; fi
      case $js_act in TERM | KILL) sleep 0.05 2>/dev/null || sleep 1 ;; *) break ;; esac
    done
  fi
  echo "JS-VERDICT verdict=alive leader=ours rc= act=$js_act after=$js_after sent=$js_sent why= pids=$js_pid:$js_was:one"
}
js_main
exit 0
