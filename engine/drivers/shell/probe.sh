# Prints the host's processes, tokens and run directories as tagged lines; changes nothing.
# Before it stands: js_bases, one folder a line (empty: only the one below the home folder).
js_is_own() { [ -O "/proc/$1" ]; }
js_table() { # the process table, by the best columns this ps knows
  for js_f in "pid ppid pgid sid user:32 pcpu vsz rss etime time stat args" \
    "pid ppid pgid sid user pcpu vsz rss etime time stat args" \
    "pid ppid pgid user pcpu vsz rss etime time stat args" \
    "pid ppid pgid user pcpu vsz etime time args" "pid ppid pgid user vsz stat args"; do
    js_o=
    for js_c in $js_f; do js_o="$js_o -o $js_c="; done
    js_f=$(echo "$js_f" | sed 's/:32//')
    if js_out=$(ps -A $js_o 2>/dev/null); then echo "F $js_f"; printf '%s\n' "$js_out" | sed 's/^/P /'; return 0; fi
  done
  if js_out=$(ps -o pid,ppid,pgid,user,vsz,stat,args 2>/dev/null); then # busybox
    echo "F pid ppid pgid user vsz stat args"
    printf '%s\n' "$js_out" | sed 's/^/P /'
  fi
}
js_kernel() { # Linux: exact start, session, owner, control group; and who carries a token
  for js_f in /proc/[0-9]*/stat; do
    js_l=
    read -r js_l 2>/dev/null <"$js_f" || continue
    js_f=${js_f%/stat}; js_p=${js_f##*/}
    set -f; set -- ${js_l##*) }; set +f
    js_c=
    read -r js_c 2>/dev/null <"/proc/$js_p/cgroup"
    js_own=other
    if js_is_own "$js_p"; then js_own=own; fi
    echo "S $js_p $1 t${20-} $4 $js_own $js_c"
  done
  grep -ls JS_TOKEN= /proc/[0-9]*/environ 2>/dev/null | while read -r js_f; do
    js_t=$(tr '\0' '\n' 2>/dev/null <"$js_f" | sed -n 's/^JS_TOKEN=//p' | head -n 1)
    js_f=${js_f%/environ}
    if [ -n "$js_t" ]; then echo "T ${js_f##*/} $js_t"; fi
  done
}
js_elsewhere() { # start and owner where there is no /proc
  LC_ALL=C ps -A -o pid= -o stat= -o uid= -o lstart= 2>/dev/null |
    while read -r js_p js_s js_u js_1 js_2 js_3 js_4 js_5; do
      js_own=other
      if [ "$js_u" = "$js_me" ]; then js_own=own; fi
      echo "S $js_p $js_s l${js_1}_${js_2}_${js_3}_${js_4}_$js_5 - $js_own"
    done
}
js_runs() { # folder: the run directories in it
  for js_e in "$1"/js-*/; do
    [ -d "$js_e" ] || continue
    js_e=${js_e%/}
    js_i= js_r=
    if [ -r "$js_e/id" ] && ! read -r js_i <"$js_e/id"; then js_i=; fi
    if [ -r "$js_e/rc" ] && ! read -r js_r <"$js_e/rc"; then js_r=; fi
    echo "R ${js_e##*/} rc=$js_r $js_i"
    echo "D ${js_e##*/} $js_e"
  done
}
js_main() {
  LC_ALL=C; export LC_ALL
  js_me=$(id -u)
  js_tokens=no
  if [ -r "/proc/$$/environ" ]; then js_tokens=yes; fi
  echo "H now=$(date +%s) uid=$js_me user=$(id -un) os=$(uname -s) tokens=$js_tokens"
  if [ -r /proc/sys/kernel/random/boot_id ]; then
    read -r js_b </proc/sys/kernel/random/boot_id
    read -r js_up js_l </proc/uptime
    echo "H boot=$js_b up=$js_up hz=$(getconf CLK_TCK 2>/dev/null || echo 100)"
  fi
  js_table
  if [ -r /proc/1/stat ] || [ -r "/proc/$$/stat" ]; then js_kernel; else js_elsewhere; fi
  js_runs "$HOME/.jobscheduler/run"
  while read -r js_e; do
    case $js_e in '') ;; /*) js_runs "$js_e/.jobscheduler-$js_me" ;; *) js_runs "$HOME/$js_e/.jobscheduler-$js_me" ;; esac
  done <<JS_BASES
$js_bases
JS_BASES
  echo Z
}
js_main
exit 0
