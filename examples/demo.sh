#!/bin/sh
# Train a small LSTM on the documentation that Python carries, then let it finish sentences.
set -eu
run=runs/demo
elman train text --out "$run" --hidden 256 --epochs 6
for prompt in "The expr" "an object is " "This is the sta" "if the f" "must be a str"; do
    printf '\n$ elman complete %s "%s"\n' "$run" "$prompt"
    elman complete "$run" "$prompt"
done
printf '\n$ elman generate %s --prompt "The " --length 200\n' "$run"
elman generate "$run" --prompt "The " --length 200
cat <<END

Next:
  .venv/bin/elman complete $run "your own words"
  .venv/bin/elman generate $run --prompt "A class is" --temperature 0.5
  .venv/bin/elman evaluate $run
  .venv/bin/elman train text YOUR_FILE.txt --out runs/mine
END
