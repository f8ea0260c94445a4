#!/bin/bash
# The flow runner, `runner.sh HEAD PORT`: a Ray node without CPUs, because a driver must stand on a node of its cluster,
# and beside it the flows. It ends when either ends, for a node does not outlive its head: restarting brings both back.
# With STRIVE_POOL set to 1 the flows are deployed to the work pool `strive` (prefect.yaml) and run by a worker of it.
trap 'kill $(jobs -p) 2>/dev/null' TERM INT

ray start --address="$1" --block --num-cpus=0 --num-gpus=0 --node-manager-port="$2" --object-store-memory=268435456 &
until python infra/alive.py "tcp://127.0.0.1:$2" 2>/dev/null; do
    kill -0 $! 2>/dev/null || exit 1
    sleep 1
done
if [ -n "$STRIVE_POOL" ]; then
    prefect work-pool inspect strive >/dev/null 2>&1 || prefect work-pool create strive --type process || exit 1
    prefect --no-prompt deploy --all || exit 1
    # its port is the runner's, and so is the health check
    PREFECT_RUNNER_SERVER_ENABLE=false PREFECT_WORKER_WEBSERVER_HOST="$PREFECT_RUNNER_SERVER_HOST" \
        PREFECT_WORKER_WEBSERVER_PORT="$PREFECT_RUNNER_SERVER_PORT" \
        prefect worker start --pool strive --with-healthcheck &
else
    strive serve &
fi

wait -n
kill $(jobs -p) 2>/dev/null
wait
exit 1
