# Looks whether a run still lives and, if told to, signals exactly its processes: in one breath.
# The rules are those of engine/kernel/sessions/verdicts.py; each doubt means: leave it alone.
# Before it stand: js_d js_act (check, TERM, KILL, ...) js_scope js_expect js_rounds js_shell js_user,
# js_record (who the run is, when it has no directory; `unknown`: nothing but its token is known) and
# js_custom js_children js_active (commands of the job's own, mostly empty).
js_say() { echo "JS-VERDICT $*"; }
js_is_own() { [ -O "/proc/$1" ]; }
js_signal() { kill -s "$1" -- "$2" 2>/dev/null; }
js_is_number() { case $1 in '' | *[!0-9]*) return 1 ;; *) [ "${#1}" -le 10 ] ;; esac; }
js_mark() { # pid -> js_start_now: its start mark, empty when it has none
  js_start_now= js_state_now=
  read -r js_r 2>/dev/null <"/proc/$1/stat" || return 0
  case $js_r in *') '*) set -f; set -- ${js_r##*) }; set +f; js_state_now=$1 js_start_now=${20:+t${20}} ;; esac
}
js_is_still() { # pid start: whether this very process is there, and no zombie
  js_mark "$1"
  case $js_state_now in [ZX]*) return 1 ;; esac
  [ "$js_start_now" = "$2" ]
}
js_consider() { # pid state pgid sid start [uid]: notes a process that may matter
  js_seen=1
  if [ -z "$js_linux" ] && [ "$1" = "$js_pid" ]; then
    if [ "$5" = "$js_start" ]; then js_lead=ours; else js_lead=reused; fi
  fi
  case $2 in [ZX]*) return 0 ;; esac
  if [ "$1" -le 1 ] || [ "$1" = "$$" ]; then return 0; fi
  js_why=
  js_carries=0
  case $js_carriers in *" $1 "*)
    if js_is_own "$1"; then js_carries=1 js_any_carrier=1; fi ;;
  esac
  if [ "$3" = "$js_group" ]; then js_why=group
  elif [ "$js_scope" != group ] && [ -n "$js_session" ] && [ "$4" = "$js_session" ]; then js_why=session
  elif [ "$1" = "$js_xpid" ] && [ "$5" = "$js_xstart" ]; then js_why=extra
  elif [ "$js_scope" = token ] && [ $js_carries = 1 ]; then js_why=token
  else
    case $js_more in *" $1 "*) [ "${5#t}" -ge "${js_start#t}" ] 2>/dev/null && js_why=extra ;; esac
  fi
  [ -n "$js_why" ] || return 0
  if [ -n "${6-}" ]; then [ "$6" = "$js_me" ]; else js_is_own "$1"; fi || {
    if [ $js_why = group ]; then js_mixed=1; fi # others in our group: no signal to the group as such
    return 0
  }
  # A process may give itself a name with a line's end in it, and so make up a line about another.
  if [ -n "$js_linux" ]; then js_is_still "$1" "$5" || return 0; fi
  if [ $js_carries = 1 ]; then
    if [ "$3" = "$js_group" ]; then js_group_proven=1; fi
    if [ -n "$js_session" ] && [ "$4" = "$js_session" ]; then js_session_proven=1; fi
  fi
  js_found="$js_found $1,$5,$js_why,$3,$4,$js_carries"
}
js_line() { # js_l: a line of /proc/PID/stat, or what a strange name has made of one
  js_p=${js_l%% *}
  js_is_number "$js_p" || return 0
  set -f
  case $js_l in # the shorter way is many times faster than the one for odd names
    *') '*') '*) set -- ${js_l##*) } ;;
    *') '*) set -- ${js_l#*) } ;;
    *) set -- ;;
  esac
  set +f
  if [ -n "${20-}" ]; then js_consider "$js_p" "$1" "$3" "$4" "t${20}"; fi
}
js_carry() { # -> js_carriers: processes with exactly our token in their environment
  set -- $(grep -ls "JS_TOKEN=$js_tok" /proc/[0-9]*/environ 2>/dev/null)
  if [ $# -gt 1 ] && [ -z "$js_zero" ]; then
    js_zero=no
    if printf 'a\0b\0' | grep -qzx b 2>/dev/null; then js_zero=yes; fi # this grep knows zero bytes
  fi
  if [ "$js_zero" = yes ] && [ $# -gt 0 ]; then
    set -- $(grep -lszx "JS_TOKEN=$js_tok" "$@" 2>/dev/null)
    for js_f; do js_f=${js_f%/environ}; js_carriers="$js_carriers${js_f##*/} "; done
    return 0
  fi
  for js_f; do
    if tr '\0' '\n' 2>/dev/null <"$js_f" | grep -qx "JS_TOKEN=$js_tok"; then
      js_f=${js_f%/environ}; js_carriers="$js_carriers${js_f##*/} "
    fi
  done
}
js_look() { # -> js_verdict js_members ("pid:start:why ...") js_lead js_signal_group
  js_carriers=" " js_more=" " js_found= js_lead=gone js_seen= js_mixed=
  js_group_proven= js_session_proven= js_any_carrier= js_members= js_signal_group= js_why_not=
  if [ -n "$js_linux" ]; then
    js_carry
    js_mark "$js_pid"
    case $js_start_now in '') ;; "$js_start") js_lead=ours ;; *) js_lead=reused ;; esac
  fi
  if [ -n "$js_children" ]; then
    for js_p in $( (pid=$js_pid user=$js_user; export pid user; exec $js_shell -c "$js_children") 2>/dev/null </dev/null); do
      if js_is_number "$js_p"; then js_more="$js_more$js_p "; fi
    done
  fi
  if [ -n "$js_linux" ]; then
    # One `cat`: the shell's own `read` takes a system call for each character.
    js_ifs=$IFS
    IFS='
'
    set -f
    set -- $(set +f; cat /proc/[0-9]*/stat 2>/dev/null)
    IFS=$js_ifs
    set +f
    for js_l in "$@"; do js_line; done
  else
    while read -r js_p js_s js_g js_u js_1 js_2 js_3 js_4 js_5; do
      if [ -n "$js_5" ]; then js_consider "$js_p" "$js_s" "$js_g" - "l${js_1}_${js_2}_${js_3}_${js_4}_$js_5" "$js_u"; fi
    done <<JS_TABLE
$(LC_ALL=C ps -A -o pid= -o stat= -o pgid= -o uid= -o lstart= 2>/dev/null)
JS_TABLE
  fi
  if [ -z "$js_seen" ]; then js_verdict=unknown js_why_not=nops; return 0; fi
  js_judge
}
js_judge() {
  js_verdict=alive js_doubt=
  for js_m in $js_found; do
    js_p=${js_m%%,*}; js_r=${js_m#*,}; js_t=${js_r%%,*}; js_r=${js_r#*,}
    js_why=${js_r%%,*}; js_r=${js_r#*,}; js_g=${js_r%%,*}; js_r=${js_r#*,}; js_s=${js_r%%,*}
    js_keep=1
    case $js_why in
      group | session)
        if [ $js_lead = reused ]; then js_keep=0
        elif [ $js_lead = gone ]; then
          js_keep=0
          if [ "$js_g" = "$js_group" ] && [ -n "$js_group_proven" ]; then js_keep=1; fi
          if [ -n "$js_session" ] && [ "$js_s" = "$js_session" ] && [ -n "$js_session_proven" ]; then js_keep=1; fi
          if [ $js_keep = 0 ]; then js_doubt="$js_doubt,$js_p"; fi
        fi
        if [ $js_keep = 0 ]; then # not by its numbers, but perhaps by itself
          if [ "$js_p" = "$js_xpid" ] && [ "$js_t" = "$js_xstart" ]; then js_keep=1 js_why=extra
          elif [ "$js_scope" = token ] && [ "${js_m##*,}" = 1 ]; then js_keep=1 js_why=token; fi
        fi ;;
    esac
    if [ $js_keep = 1 ]; then
      js_members="$js_members $js_p:$js_t:$js_why"
      if [ $js_why = group ]; then js_signal_group=1; fi
    fi
  done
  if [ -n "$js_doubt" ] && [ -z "$js_any_carrier" ]; then
    js_verdict=unsure js_why_not=leaderless js_members= js_signal_group=
  elif [ -z "$js_members" ]; then
    js_verdict=gone
  fi
  if [ -n "$js_mixed" ]; then js_signal_group=; fi
}
js_lives() { # pid start: whether this very process is still there, as far as that is told cheaply
  if [ -n "$js_linux" ]; then js_is_still "$1" "$2"; else kill -0 "$1" 2>/dev/null; fi
}
js_wait() { # most processes need a moment to go: looking at each costs less than looking at all
  for js_n in 0.005 0.01 0.01 0.02 0.02; do
    js_any=
    for js_m in $js_members; do
      js_t=${js_m#*:}
      if js_lives "${js_m%%:*}" "${js_t%:*}"; then js_any=1; break; fi
    done
    if [ -z "$js_any" ]; then return 0; fi
    sleep $js_n 2>/dev/null || { sleep 1; return 0; }
  done
}
js_strike() { # signals the members of the last look
  if [ -n "$js_custom" ]; then # youngest first, so that children come before their parents
    for js_m in $(for js_x in $js_members; do echo "$js_x"; done | sort -t : -k 2.2rn); do
      (pid=${js_m%%:*} user=$js_user; export pid user; exec $js_shell -c "$js_custom") >/dev/null 2>&1 </dev/null
    done
    return 0
  fi
  if [ -n "$js_signal_group" ]; then js_signal "$js_act" "-$js_group"; fi
  for js_m in $js_members; do
    case $js_m in *:group) if [ -n "$js_signal_group" ]; then continue; fi ;; esac
    js_signal "$js_act" "${js_m%%:*}"
  done
}
js_tell() { # after the work: before-verdict pids -> the line
  js_say "verdict=$1 leader=$2 rc=$js_rc act=$js_act after=$3 sent=$js_sent why=$js_why_not doubt=${js_doubt#,} pids=$4"
}
js_main() {
  js_tok=${js_d##*/} js_zero= js_rc= js_doubt= js_sent= js_why_not=
  case $js_tok in js-*[!a-z2-7]* | '') js_say verdict=bad why=token; exit 0 ;; js-*) ;; *) js_say verdict=bad why=token; exit 0 ;; esac
  js_me=
  if [ -r "/proc/$$/status" ]; then
    while read -r js_w js_l; do
      case $js_w in Uid:) set -- $js_l; js_me=$2; break ;; esac
    done <"/proc/$$/status"
  fi
  js_is_number "$js_me" || js_me=$(id -u)
  if [ -r "$js_d/rc" ] && read -r js_rc <"$js_d/rc" && js_is_number "$js_rc"; then :; else js_rc=; fi
  js_l=
  if [ "$js_record" = unknown ]; then # a number nobody has: nothing but the token counts
    js_l="pid=9999999999 pgid=9999999999 start=t0 boot=- uid=$js_me"
  elif [ -n "$js_record" ]; then
    js_l=$js_record
  elif [ ! -r "$js_d/id" ] || ! read -r js_l <"$js_d/id"; then # half a record is none
    if [ -d "$js_d" ]; then js_say "verdict=none directory=yes rc=$js_rc"; else js_say verdict=none; fi
    exit 0
  fi
  js_pid= js_group= js_session= js_start= js_boot= js_uid= js_xpid= js_xstart=
  set -f
  for js_w in $js_l; do
    case $js_w in
      pid=*) js_pid=${js_w#*=} ;; pgid=*) js_group=${js_w#*=} ;; sid=*) js_session=${js_w#*=} ;;
      start=*) js_start=${js_w#*=} ;; boot=*) js_boot=${js_w#*=} ;; uid=*) js_uid=${js_w#*=} ;;
      xpid=*) js_xpid=${js_w#*=} ;; xstart=*) js_xstart=${js_w#*=} ;;
    esac
  done
  set +f
  for js_w in "$js_pid" "$js_group" "$js_uid"; do
    js_is_number "$js_w" || { js_say verdict=bad why=id; exit 0; }
  done
  [ "$js_pid" -gt 1 ] && [ "$js_group" -gt 1 ] && [ "$js_uid" = "$js_me" ] || { js_say verdict=bad why=range; exit 0; }
  case $js_start in t[0-9]* | l?*) ;; *) js_say verdict=bad why=start; exit 0 ;; esac
  if [ "$js_session" != "$js_pid" ]; then js_session=; fi
  js_is_number "$js_xpid" || js_xpid=
  js_linux=
  if [ -r /proc/1/stat ] || [ -r "/proc/$$/stat" ]; then js_linux=1; fi
  if [ -r /proc/sys/kernel/random/boot_id ]; then
    read -r js_now </proc/sys/kernel/random/boot_id
    if [ "$js_boot" != - ] && [ "$js_now" != "$js_boot" ]; then
      js_say "verdict=gone rebooted=yes rc=$js_rc"; exit 0
    fi
  fi
  js_look
  js_first=$js_verdict js_first_lead=$js_lead js_first_pids=$(echo $js_members | tr ' ' ,)
  if [ $js_verdict = gone ] && [ -n "$js_active" ]; then # a veto of the job's own: it can only say alive
    if (pid=$js_pid user=$js_user; export pid user; exec $js_shell -c "$js_active") >/dev/null 2>&1 </dev/null; then
      js_first=alive js_verdict=alive js_why_not=veto
    fi
  fi
  if [ "$js_expect" != any ] && [ "$js_expect" != "$js_first/$js_lead" ]; then
    js_why_not=changed
    js_tell "$js_first" "$js_first_lead" "$js_verdict" "$js_first_pids"
    exit 0
  fi
  if [ "$js_act" != check ] && [ $js_verdict = alive ]; then
    js_round=0
    while [ -n "$js_members" ] && [ $js_verdict = alive ] && [ $js_round -lt "$js_rounds" ]; do
      js_strike
      js_sent=$((js_sent + 1)) js_round=$((js_round + 1))
      case $js_act in TERM | KILL) js_wait ;; esac
      js_look
    done
  fi
  js_tell "$js_first" "$js_first_lead" "$js_verdict" "$js_first_pids"
}
js_main
exit 0
