"""Start the double by hand: ``python -m tests.doubles.github --repository path.git``."""

import tempfile
import threading
from pathlib import Path

import click

from tests.doubles.github import GitHub


@click.command(help="A GitHub on this machine, to try Headgate with.")
@click.option("--port", default=8091, show_default=True)
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A bare repository; without it a new one.",
)
@click.option("--name", default="acme/models", show_default=True, help="Its name on GitHub.")
@click.option(
    "--webhook", help="Where to send webhooks, for example http://127.0.0.1:8090/webhooks/github"
)
def main(port: int, repository: Path | None, name: str, webhook: str | None) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="github-double-") as folder,
        GitHub(Path(folder), port) as github,
    ):
        app = github.app()
        github.webhooks.url = webhook
        repo = github.repository(name, repository.resolve() if repository else None)
        installation = github.install(repo)
        key = Path(folder) / "app.pem"
        key.write_text(github.private_key)
        key.chmod(0o600)
        click.echo(f"GitHub API       {github.url}")
        click.echo(f"repository       {repo.full_name}, git remote {repo.git.path}")
        click.echo(f"app              id {app.id}, installation {installation.id}, key {key}")
        click.echo(f"webhook secret   {app.webhook_secret}")
        click.echo(f"personal token   {github.token(repo.owner.login)}")
        click.echo(f"webhooks go to   {webhook or 'nowhere (give --webhook)'}")
        click.echo("Give these to headgate. Pushes are noticed within a second. Ctrl-C ends.")
        ended = threading.Event()
        try:
            while not ended.wait(1.0):
                github.notice()
        except KeyboardInterrupt:
            click.echo("ended")


if __name__ == "__main__":
    main()
