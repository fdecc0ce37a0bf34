# Makes the run's directory, starts the run and then answers questions about its output.
# Before it stand: js_token js_folder js_shell js_mode (start, prepare, attach, claim) and the
# functions js_files and js_variables.
# A shell that has served one run may be given the next one after the line `next`: then only those
# values and the last line are sent again, and what was found out about the host is still known.
js_fail() {
  echo "JS-BEGIN $js_token failed $*"
  exit 1
}
js_nowhere() { # no folder can be written here: the run has to live on a channel
  echo "JS-BEGIN $js_token nowhere $js_umask $*"
  exit 0
}
js_is_private() { # a folder of ours, no link, writable by nobody else
  [ -d "$1" ] && [ ! -L "$1" ] || return 1
  set -- $(ls -ldn "$1/." 2>/dev/null)
  case ${1-} in d????-??-?*) [ "$3" = "$js_uid" ] ;; *) return 1 ;; esac
}
js_size() { # file -> js_n
  js_n=0
  if [ -s "$1" ]; then js_n=$(wc -c <"$1" 2>/dev/null); js_n=$((js_n)); fi
}
js_rest() { # file offset most -> js_n: how many bytes to send
  js_size "$1"
  js_n=$((js_n - $2))
  if [ "$js_n" -lt 0 ]; then js_n=0; fi
  if [ "$js_n" -gt "$3" ]; then js_n=$3; fi
}
js_leads() { # whether the recorded process is still itself: yes, no, or - (no record, nowhere to look)
  js_s=- js_id=
  if [ ! -r "$js_d/id" ] || ! read -r js_id <"$js_d/id"; then js_id=; return 0; fi
  if [ ! -r /proc/1/stat ] && [ ! -r "/proc/$$/stat" ]; then return 0; fi
  js_l=$js_id
  js_p=${js_l##* pid=}; js_p=${js_p%% *}
  js_t=${js_l##* start=}; js_t=${js_t%% *}
  js_s=no
  case $js_p in '' | *[!0-9]*) return 0 ;; esac
  read -r js_l 2>/dev/null <"/proc/$js_p/stat" || return 0
  set -f; set -- ${js_l##*) }; set +f
  case $1 in Z | X) return 0 ;; esac
  if [ "t${20-}" = "$js_t" ]; then js_s=yes; fi
}
js_answer() { # offset of out, offset of err, most bytes of each
  if [ ! -d "$js_d" ]; then echo "JS-REPLY gone - 0 0 0 0"; return 0; fi
  js_leads
  js_rc=-
  if [ -r "$js_d/rc" ] && ! read -r js_rc <"$js_d/rc"; then js_rc=-; fi # before the sizes: then they are final
  if [ "$js_rc" = - ] && [ -r "$js_d/refused" ]; then js_rc=refused; fi
  js_rest "$js_d/out" "$1" "$3"; js_o=$js_n
  js_rest "$js_d/err" "$2" "$3"; js_e=$js_n
  js_r=0
  if [ "$js_rc" != - ]; then js_rest "$js_d/rv" 0 "$js_rv_max"; js_r=$js_n; fi
  js_i=0
  if [ -n "$js_id" ]; then js_i=$((${#js_id} + 1)); fi
  echo "JS-REPLY $js_rc $js_s $js_o $js_e $js_r $js_i"
  if [ "$js_o" -gt 0 ]; then tail -c "+$(($1 + 1))" "$js_d/out" | head -c "$js_o"; fi
  if [ "$js_e" -gt 0 ]; then tail -c "+$(($2 + 1))" "$js_d/err" | head -c "$js_e"; fi
  if [ "$js_r" -gt 0 ]; then head -c "$js_r" "$js_d/rv"; fi
  if [ "$js_i" -gt 0 ]; then printf '%s\n' "$js_id"; fi
}
js_is_base() { # looked at with care once in this shell, later at what costs no process
  if [ "$1" = "$js_known_base" ] && [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]; then return 0; fi
  js_is_private "$1" && js_known_base=$1
}
js_known_base=
js_umask=$(umask)
umask 077
js_uid=$(id -u)
js_main() {
  if [ -n "$js_folder" ]; then
    case $js_folder in /*) ;; *) js_folder=$HOME/$js_folder ;; esac
    [ -d "$js_folder" ] || js_fail "temp_dir $js_folder is no folder"
    js_base=$js_folder/.jobscheduler-$js_uid
  else
    js_base=$HOME/.jobscheduler/run
    [ -d "$HOME/.jobscheduler" ] || mkdir "$HOME/.jobscheduler" 2>/dev/null
  fi
  [ -d "$js_base" ] || mkdir "$js_base" 2>/dev/null
  [ -d "$js_base" ] || [ -L "$js_base" ] || js_nowhere "$js_base"
  js_is_base "$js_base" || js_fail "$js_base is not a folder that only its owner can write"
  js_d=$js_base/$js_token
  js_how=exists
  if [ "$js_mode" = attach ]; then
    if [ ! -d "$js_d" ]; then js_how=absent; fi
  elif mkdir "$js_d" 2>/dev/null; then
    if [ "$js_mode" = claim ]; then # the name is taken now: a start that comes late finds it so
      echo "JS-BEGIN $js_token absent $js_umask $js_d"
      exit 0
    fi
    js_files || { rm -rf "$js_d"; js_nowhere "$js_base"; }
    js_how=made
  elif [ ! -d "$js_d" ] && [ ! -L "$js_d" ]; then
    js_nowhere "$js_base"
  fi
  if [ "$js_how" = exists ]; then js_is_private "$js_d" || js_fail "$js_d cannot be made"; fi
  if [ "$js_how" = made ] && [ "$js_mode" = start ]; then
    js_launch
  fi
  echo "JS-BEGIN $js_token $js_how $js_umask $js_d"
  while read -r js_from_out js_from_err js_most; do
    case $js_from_out in next) return 0 ;; esac
    js_answer "$js_from_out" "$js_from_err" "$js_most" || exit 1
  done
  exit 0
}
js_launch() { # the run gets a session of its own; this channel hears of its end on stderr
  : >"$js_d/out"
  : >"$js_d/err"
  if command -v setsid >/dev/null 2>&1; then
    { js_variables; exec setsid $js_shell "$js_d/run" "$js_d" "$js_umask" tell $js_shell; } </dev/null 3>&2 >>"$js_d/out" 2>>"$js_d/err" &
    return 0
  fi
  (
    js_variables
    set -m
    $js_shell "$js_d/run" "$js_d" "$js_umask" - $js_shell </dev/null >>"$js_d/out" 2>>"$js_d/err" &
    wait $!
    echo "JS-END $js_token" >&2
  ) </dev/null >/dev/null &
}
js_main
