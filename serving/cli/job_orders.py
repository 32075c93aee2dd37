"""What `zhuzhen jobs` does, as the operator of the machine."""

from dataclasses import replace
from typing import Any

from serving.access import Guard, open_guard
from serving.cli.operating import permit
from serving.jobs.listing import JobLine, list_jobs, retry_job, show_job, study_of
from serving.node.access import study_target
from serving.policy import Action, Target
from serving.records import writing
from serving.routing import read_node


def list_all(state: str | None, limit: int) -> list[JobLine]:
    """Return the newest jobs of all institutions.

    Raises:
        JobStateError: jobs have no such state.
        NotPermittedError: the policy does not allow it.
    """
    with open_guard() as guard:
        permit(guard, "jobs.list", Action.READ_JOBS, Target("job"))
        return list_jobs(guard.engine, state, limit)


def show_one(job_id: str) -> dict[str, Any]:
    """Return everything about a job that names no patient.

    Raises:
        JobNotFoundError: there is none.
        NotPermittedError: the policy does not allow it.
    """
    with open_guard() as guard:
        _permit(guard, "jobs.show", Action.READ_JOBS, job_id)
        return show_job(guard.engine, job_id)


def retry_one(job_id: str) -> list[str]:
    """Queue anew what of a job failed; return what that is.

    Raises:
        JobNotFoundError: there is no such job.
        NotRetriableError: nothing of it failed, or no rule fits it.
        NodeFileError: `node.yaml` cannot be used.
        NotPermittedError: the policy does not allow it.
    """
    node = read_node()
    with open_guard() as guard:
        _permit(guard, "jobs.retry", Action.RETRY_JOBS, job_id)
        with writing(guard.engine) as connection:
            return retry_job(connection, guard.keyring, node, job_id)


def _permit(guard: Guard, operation: str, action: Action, job_id: str) -> None:
    with guard.engine.connect() as connection:
        target = study_target(connection, guard.keyring, study_of(connection, job_id))
    target = replace(target, kind="job", object_id=f"job-{job_id}")
    permit(guard, operation, action, target, institution=str(target.institution))
