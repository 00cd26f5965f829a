"""Signs up new users: a verification mail, and after their confirmation a welcome mail and the news they chose.

```
sign-ups -------check--+                 +--> new -------------------------------> verification mails
confirmations --check--+-Merger--> Match +--> confirmed --Copier--+--> welcome --> welcome mails
pending --------check--+      by user id |                        +--> set_up
   ^                                     |                        Filter(opted in)
   |                                     |                            |
   +-------------------------------------+--> pending             Splitter --email--> by mail -+
                                         +--> expired                 |                      Merger --> subscriptions
                                                                      +-----sms------> by text-+
                                                                      +-----------------------> text messages
invalid records, and mails that the mail server refuses --> dead letters
```

    python pipelines/new_user_signup.py \\
        --signups 'sqlite:///data/queues.db?topic=signups&group=new_user_signup' \\
        --confirmations 'sqlite:///data/queues.db?topic=confirmations&group=new_user_signup' \\
        --output 'sqlite:///data/queues.db?topic=' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters' \\
        --mail data/outbox --expire_after 7d

Each run reads the messages that are new since the last one, and commits them when everything is written. If a run is
killed, start it again: mails are delivered once (see --mail), messages in queues at least once, with the same id.

With --streaming the pipeline runs for ever and reads Kafka or Pub/Sub: waiting records are kept in the runner's state
instead of the pending queue, and expire when their time is over. Flink keeps that state in its checkpoints. Prism keeps
it in memory: records that wait when Prism ends are lost, because their messages are committed. On Prism, repeated runs
without --streaming are safer.

Source: Burns, Designing Distributed Systems, chapter 11, hands-on: building an event-driven flow for new user sign-up.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Ended, Options, Places, duration, launch, option, prefix, queue, source
from beam_patterns.pipelines.parts.fields import fields_of
from beam_patterns.pipelines.parts.mail import Deliver, open_outbox, sender_address
from beam_patterns.pipelines.parts.signup.match import Match, MatchStream
from beam_patterns.pipelines.parts.signup.records import CONFIRMATION, SIGNUP, Event, ToEvent, pending_event
from beam_patterns.pipelines.parts.signup.texts import Texts, by_mail, by_text_message
from beam_patterns.pipelines.runtime.queues import check_queues, is_idle, messages_of, prepared
from beam_patterns.transforms import Copier, DeadLetters, Filter, Map, Merger, Splitter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue, queue_under

_NAME = "new_user_signup"
_LOG = logging.getLogger(__name__)
_by_email, _by_sms = itemgetter("email_opt_in"), itemgetter("sms_opt_in")


class NewUserSignupOptions(Options):
    """Signs up new users: verification mail, match with confirmations, welcome mail, subscriptions to news."""

    signups: str = option(
        "The queue of sign-ups: JSON with user_id, email, name, email_opt_in, sms_opt_in, signed_up_at, maybe phone.",
        example="'sqlite:///data/queues.db?topic=signups&group=new_user_signup'",
        type=source,
    )
    confirmations: str = option(
        "The queue of confirmations: JSON with user_id and confirmed_at.",
        example="'kafka://localhost:9092/confirmations?group=new_user_signup'",
        type=source,
    )
    output: str = option(
        "How the URIs of the output queues begin; subscriptions, texts or expired is appended (files end in .jsonl).",
        example="'sqlite:///data/queues.db?topic='",
        type=prefix,
    )
    dead_letters: str = option(
        "The queue for messages that failed, with the reason and the original bytes.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        type=queue,
    )
    pending: str = option(
        "The queue where sign-ups wait for their confirmation from run to run, and confirmations for their sign-up; "
        "default: --output with `pending` appended, or pending.db beside output files. Not with --streaming.",
        example="'kafka://localhost:9092/signup-pending?group=new_user_signup'",
        default="",
    )
    mail: str = option(
        "Where mails go, a Maildir or an SMTP server. A Maildir gets each mail once, however often a run is repeated "
        "or killed; over SMTP the mail in flight when a run is killed may come twice, with the same Message-ID.",
        example="smtp://localhost:25",
        default="outbox",
    )
    sent: str = option(
        "The file that records which mails were delivered; default: sent.db in the Maildir, or sent-mails.db in the "
        "current folder.",
        example="/var/lib/signup/sent.db",
        default="",
    )
    sender: str = option(
        "The sender of the mails.",
        example="'Example Shop <hello@shop.example>'",
        default="Example Shop <hello@shop.example>",
    )
    site: str = option(
        "The site that links in mails lead to.",
        example="https://shop.example",
        default="https://shop.example",
        pattern=r"https?://[^\s<>]+[^\s<>/]",
    )
    expire_after: timedelta = option(
        "How long a record may wait for its partner: 90s, 15m, 12h, 7d.",
        example="7d",
        type=duration,
        default=timedelta(days=7),
    )

    local: ClassVar[str] = "all workers must see the file that records which mails were sent"

    def check(self) -> None:
        open_outbox(self.mail)
        sender_address(self.sender)
        if self.streaming:
            self._check_stream()
        elif not open_queue(source(self.pending_queue)).keeps_positions:
            raise ValueError(f"--pending: {self.pending_queue} does not keep positions; use Kafka or SQLite")
        reads = [("--signups", self.signups), ("--confirmations", self.confirmations)]
        if not self.streaming:
            reads.append(("--pending", self.pending_queue))
        writes = [(f"--output with {name}", queue(uri)) for name, uri in self.outputs.items()]
        check_queues(reads, [*writes, ("--dead_letters", self.dead_letters)], self.streaming)

    def _check_stream(self) -> None:
        if self.pending:
            raise ValueError(
                f"--pending: a stream keeps waiting records in its state; leave out --pending {self.pending}"
            )
        if not self.expire_after:
            raise ValueError("--expire_after: with 0s no sign-up in a stream is ever confirmed; write, for example, 7d")

    @property
    def pending_queue(self) -> str:
        """URI of the pending queue."""
        return self.pending or queue_under(self.output, "pending", group=_NAME)

    @property
    def outputs(self) -> dict[str, str]:
        """URIs of the output queues by name."""
        return {name: queue_under(self.output, name) for name in ("subscriptions", "texts", "expired")}


class Signups(NamedTuple):
    """The outputs of the flow; each a PCollection[Message]."""

    verification: PCollection
    """Sign-ups that get a verification mail."""
    welcome: PCollection
    """Confirmed sign-ups, which get a welcome mail."""
    subscriptions: PCollection
    """Subscriptions to news, by channel."""
    texts: PCollection
    """Text messages to send."""
    pending: PCollection | None
    """Records that wait for the next run; None in a stream, which keeps them in its state."""
    expired: PCollection
    """Records that have waited too long."""


def new_user_signup(
    signups: PCollection[Message],
    confirmations: PCollection[Message],
    pending: PCollection[Message] | None,
    *,
    dead: ErrorHandler,
    texts: Texts,
    now: float,
    expire_after: timedelta,
) -> Signups:
    """The graph without I/O. `pending` is None in a stream."""
    seen = None if pending is None else now  # In a stream a record's time is its message's own.
    signed_up = signups | "CheckSignups" >> Map(ToEvent(SIGNUP, seen)).with_error_handler(dead)
    confirmed = confirmations | "CheckConfirmations" >> Map(ToEvent(CONFIRMATION, seen)).with_error_handler(dead)
    if pending is None:
        matched, expired = (signed_up, confirmed) | "Meet" >> MatchStream(expire_after).with_error_handler(dead)
        verification = signed_up | "ToVerify" >> Map(_message_of)
        return Signups(verification, *_set_up(matched, texts), None, expired)
    waited = pending | "CheckPending" >> Map(pending_event).with_error_handler(dead)
    events = {"signups": signed_up, "confirmations": confirmed, "pending": waited}
    users = events | "Gather" >> Merger() | "Match" >> Match(now, expire_after)
    return Signups(users.new, *_set_up(users.confirmed, texts), users.pending, users.expired)


def _set_up(users: PCollection, texts: Texts) -> tuple[PCollection, PCollection, PCollection]:
    """Confirmed users to welcome, their subscriptions, and the text messages about these."""
    confirmed = users | "CopyConfirmed" >> Copier("welcome", "set_up")
    chosen = (
        confirmed.set_up
        | "OptedIn" >> Filter(_opted_in).with_view(fields_of)
        | "ByChannel" >> Splitter(email=_by_email, sms=_by_sms).with_every_match().with_view(fields_of)
    )
    subscriptions = (
        chosen.email | "SubscribeMail" >> Map(by_mail),
        chosen.sms | "SubscribeText" >> Map(by_text_message),
    ) | "Subscriptions" >> Merger()
    return confirmed.welcome, subscriptions, chosen.sms | "ComposeText" >> Map(texts.text_message)


def _message_of(event: Event) -> Message:
    return event.message


def _opted_in(user: dict[str, Any]) -> bool:
    return _by_email(user) or _by_sms(user)


def build(p: beam.Pipeline, o: NewUserSignupOptions) -> Places | None:
    """The graph between the queues of the options; returns where the results are, or None if nothing is new."""
    now, pending = time.time(), None
    if not o.streaming and _nothing_to_do(o, now - o.expire_after.total_seconds()):
        return None
    outbox, texts = open_outbox(o.mail, o.sent), Texts(o.sender, o.site)
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        signups = p | "ReadSignups" >> ReadFromQueue(o.signups).with_error_handler(dead)
        confirmations = p | "ReadConfirmations" >> ReadFromQueue(o.confirmations).with_error_handler(dead)
        if not o.streaming:
            pending = p | "ReadPending" >> ReadFromQueue(o.pending_queue).with_error_handler(dead)
        flow = new_user_signup(
            signups, confirmations, pending, dead=dead, texts=texts, now=now, expire_after=o.expire_after
        )
        verified = flow.verification | "AskToVerify" >> Deliver(outbox, texts.verification).with_error_handler(dead)
        welcomed = flow.welcome | "SayWelcome" >> Deliver(outbox, texts.welcome).with_error_handler(dead)
        targets = o.outputs if o.streaming else {**o.outputs, "pending": o.pending_queue}
        written = [
            getattr(flow, name) | f"Write{name.title()}" >> WriteToQueue(uri).with_error_handler(dead)
            for name, uri in targets.items()
        ]
    if pending is not None:  # A stream commits by itself.
        # In this order, because a run may be killed between two commits: a confirmation that is read again finds no
        # sign-up and expires, which is harmless; a sign-up read again without its confirmation would expire although
        # it was confirmed.
        (
            (verified, welcomed, *written, dead.output())
            | "CommitSignups" >> CommitOffsets(signups)
            | "CommitPending" >> CommitOffsets(pending)
            | "CommitConfirmations" >> CommitOffsets(confirmations)
        )
    return {"mails": o.mail, **targets, "dead letters": o.dead_letters}


def _nothing_to_do(o: NewUserSignupOptions, oldest: float) -> bool:
    prepared(o.pending_queue)
    return is_idle(o.signups, o.confirmations) and not _any_expired(o.pending_queue, oldest)


def _any_expired(pending: str, oldest: float) -> bool:
    """Whether a record has waited since before `oldest`, or is invalid, which is for a run to report."""
    count = 0
    for message in messages_of(pending):
        try:
            if pending_event(message).first_seen < oldest:
                return True
        except ValueError:
            return True
        count += 1
    _LOG.info("%s wait for their partner in %s", f"{count:,}", pending)
    return False


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code, with the balance."""
    return launch(NewUserSignupOptions, build, argv)
