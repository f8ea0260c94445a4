#!/bin/bash
# The flow runner, `runner.sh HEAD PORT`: a Ray node without CPUs, because a driver must stand on a node of its cluster,
# and beside it the flows. It ends when either ends, for a node does not outlive its head: restarting brings both back.
trap 'kill $(jobs -p) 2>/dev/null' TERM INT

ray start --address="$1" --block --num-cpus=0 --num-gpus=0 --node-manager-port="$2" --object-store-memory=268435456 &
until python infra/alive.py "tcp://127.0.0.1:$2" 2>/dev/null; do
    kill -0 $! 2>/dev/null || exit 1
    sleep 1
done
strive serve &

wait -n
kill $(jobs -p) 2>/dev/null
wait
exit 1
