# Removes the directories of finished runs, unless processes still carry their token.
# Before it stands: js_directories, one a line.
js_main() {
  js_carried=$(cat $(grep -ls JS_TOKEN=js- /proc/[0-9]*/environ 2>/dev/null) /dev/null 2>/dev/null |
    tr '\0' '\n' | sed -n 's/^JS_TOKEN=//p' | sort -u)
  js_carried=" $(echo $js_carried) "
  while read -r js_e; do
    js_t=${js_e##*/}
    case $js_t in js-*[!a-z2-7]* | js-) continue ;; js-*) ;; *) continue ;; esac
    if [ ! -d "$js_e" ] || [ -L "$js_e" ]; then echo "JS-REAPED $js_t absent"; continue; fi
    case $js_carried in *" $js_t "*) echo "JS-REAPED $js_t kept"; continue ;; esac
    rm -rf "$js_e" && echo "JS-REAPED $js_t removed"
  done <<JS_DIRECTORIES
$js_directories
JS_DIRECTORIES
  echo JS-DONE
}
js_main
exit 0
