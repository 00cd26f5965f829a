"""Beam's worker pool, for several TaskManagers at once.

python -m tests.servers.worker_pool --service_port=50000

Each TaskManager numbers its workers from 1, and Beam's pool knows them by that number alone: a TaskManager that stops
its worker 1 would stop the other's, and Flink would restart the job. Here a worker belongs to the TaskManager that
asked for it.
"""

import sys
import threading
from typing import Any

from apache_beam.runners.worker import worker_pool_main


class _Pool(worker_pool_main.BeamFnExternalWorkerPoolServicer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._starting = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        with self._starting:
            answer = super().StartWorker(request, context)
            process = self._worker_processes.pop(request.worker_id, None)
        if process is not None:
            self._worker_processes[f"{context.peer()} {request.worker_id}"] = process
        return answer

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        request.worker_id = f"{context.peer()} {request.worker_id}"
        return super().StopWorker(request, context)


if __name__ == "__main__":
    worker_pool_main.BeamFnExternalWorkerPoolServicer = _Pool
    worker_pool_main.main(sys.argv[1:])
