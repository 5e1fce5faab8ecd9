"""How a task calls Pulselake: a program, its arguments, its exit code. Nothing of the lake is kept or known here.

The worker needs the programs `pulselake` and `pulselake-query`, and its settings: by the Airflow variables `pulselake_program` (default:
`pulselake` in PATH) and `pulselake_config` (a settings file; default: none), or by PULSELAKE_… in the worker's environment.
"""

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

EXIT_CRITICAL = 3
"""The day's real-time counts differ from the batch's by more than twice what is allowed."""


class PulselakeOperator(BaseOperator):
    """Runs `pulselake ARGUMENTS`. What it prints goes to the task's log; SIGTERM ends it when the task is killed.

    Exit code 0 is success. Code 3 fails the task at once, since another try would find the same; any other code fails it too,
    and is tried again where the DAG says so: every command here may be repeated.
    """

    template_fields = ("arguments", "program", "config")

    def __init__(
        self,
        *,
        arguments: list[str],
        program: str = "{{ var.value.get('pulselake_program', 'pulselake') }}",
        config: str = "{{ var.value.get('pulselake_config', '') }}",
        **options: object,
    ) -> None:
        super().__init__(**options)
        self.arguments = arguments
        self.program = program
        self.config = config
        self._hook = SubprocessHook()

    def execute(self, context: Context) -> None:
        command = [self.program, *self.arguments]
        if self.config:
            command += ["--config", self.config]
        ended = self._hook.run_command(command)
        if ended.exit_code == EXIT_CRITICAL:
            raise AirflowFailException(
                f"{' '.join(command)}: the real-time counts are beyond the limits (CRIT), see above. Look at gold.rt_batch_reconciliation; "
                "when the batch is right, correct them by `pulselake batch restate --date DAY`, and clear this task"
            )
        if ended.exit_code != 0:
            raise AirflowException(f"{' '.join(command)} ended with exit code {ended.exit_code}: {ended.output}")

    def on_kill(self) -> None:
        running = self._hook.sub_process
        if running is not None and running.poll() is None:
            self._hook.send_sigterm()
