#!/usr/bin/env bash
# Checks and times a GPU: bash bench/gpu_check.sh, with the programs of `make gpu-check` in .gpu/ or on the PATH.
# DEVICE (cuda), OUT (.gpu/out), PARTS (all, in this order), SECONDS_EACH (4), NETS, SCALE (1; larger for devices without speed), PYTHON.
# Writes $OUT/gpu.jsonl, $OUT/*.log and a table.
set -u
here=$PWD; programs=$here/.gpu; device=${DEVICE:-cuda}; out=${OUT:-$here/.gpu/out}; each=${SECONDS_EACH:-4}; scale=${SCALE:-1}
python=${PYTHON:-python3}; nets=${NETS:-unet-32 dit-s2 unet-64 dit-b4}
parts=${PARTS:-devices warm verify recipe nets torch launches table}
mkdir -p "$out"; work=$(mktemp -d)
for name in tweedie gpu; do
  if [ -e "$programs/$name.xz" ]; then xz -dc "$programs/$name.xz" > "$work/$name" && chmod +x "$work/$name"; fi
done
export PATH=$work:$PATH RUST_BACKTRACE=0 PYTHONUNBUFFERED=1 CUDA_PATH=${CUDA_PATH:-/usr/local/cuda}
library=$(ls "$CUDA_PATH"/lib64/libnvrtc.so* 2>/dev/null | head -1)
[ -n "$library" ] || library=$(find / -name 'libnvrtc.so*' -not -path '/proc/*' 2>/dev/null | head -1)
[ -z "$library" ] || export LD_LIBRARY_PATH=$(dirname "$library"):${LD_LIBRARY_PATH:-}
has() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
said() { echo "== $(date +%T) $*"; }

if has devices; then
  said devices; nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null
  timeout 60 tweedie devices 2>&1 | tee "$out/devices.log"
fi
# Compiling is left out of what is timed: both sides keep what they compiled.
export TORCHINDUCTOR_CACHE_DIR=$work/inductor
if has warm; then
  for net in $nets; do
    (timeout 240 "$python" bench/torch_gpu.py "$net" bf16 compile 0 > "$out/warm-$net.log" 2>&1; echo "rc $?" >> "$out/warm-$net.log") &
  done
fi
if has verify; then
  said verify; timeout 200 tweedie verify --device "$device" --brief > "$out/verify.log" 2>&1; echo "rc $?"; tail -${VERIFY_LINES:-30} "$out/verify.log"
fi
wait
if has recipe; then
  for d in $device cpu; do
    said "default recipe, 5 steps, $d"
    timeout 120 tweedie train --device "$d" --steps 5 --set train.shards=1 --set run.evaluate_every=0 -q --out "$work/$d" > "$out/recipe-$d.log" 2>&1
    tail -2 "$out/recipe-$d.log"; cut -c1-120 "$work/$d/metrics.jsonl"
  done
  said "default recipe to its end"
  time timeout 120 tweedie train --device "$device" -q --out "$work/end" > "$out/end.log" 2>&1
  tail -2 "$out/end.log"; tail -1 "$work/end/metrics.jsonl" | cut -c1-300
  for d in $device cpu; do timeout 60 tweedie sample "$work/end" --device "$d" --n 16 --seed 1 -q --out "$out/samples-$d" 2>&1 | tail -2; done
fi
if has nets; then
  for net in $nets; do for precision in ${PRECISIONS:-f32 bf16}; do
    said "$net $precision"
    timeout "${LIMIT:-60}" gpu "$device" "$net" "$precision" "$each" "$scale" 2> "$out/$net-$precision.log" | tee -a "$out/gpu.jsonl"
    tail -2 "$out/$net-$precision.log"
  done; done
fi
if has torch; then
  for net in $nets; do for kind in "f32 eager" "tf32 eager" "bf16 eager" "bf16 compile"; do
    timeout 90 "$python" bench/torch_gpu.py "$net" $kind "$each" 2> "$out/torch.log" | tee -a "$out/gpu.jsonl" || tail -1 "$out/torch.log"
  done; done
fi
if has launches; then
  said "launches of a step of the default recipe"
  CUBECL_DEBUG_OPTION=profile CUBECL_DEBUG_LOG=$work/profile timeout 60 tweedie train --device "$device" --steps 6 --set run.evaluate_every=0 -q --out "$work/profiled" > "$out/profiled.log" 2>&1
  cp "$work/profile" "$out/profile.txt" 2>/dev/null; wc -l "$out/profile.txt"
fi
if has table; then "$python" bench/gpu_table.py "$out/gpu.jsonl" | tee "$out/table.md"; fi
rm -rf "$work"
