"""New users sign up: each gets a verification mail, and once confirmed a welcome and the notifications they chose.

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
what fails a check, or is refused by the mail server --> dead letters
```

    python pipelines/new_user_signup.py \\
        --signups 'sqlite:///data/queues.db?topic=signups&group=new_user_signup' \\
        --confirmations 'sqlite:///data/queues.db?topic=confirmations&group=new_user_signup' \\
        --output 'sqlite:///data/queues.db?topic=' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters' \\
        --mail data/outbox --expire_after 7d

Each run reads what has arrived since the last one, and remembers that it did when everything is written. A run that is
killed is simply run again: mails are delivered once (see --mail), messages in queues at least once, under the same id.

With --streaming it goes on for ever, reading Kafka or Pub/Sub: who waits is kept in the runner's state instead of the
pending queue, and expires when their time is over. Flink keeps that state in its checkpoints. Prism keeps it in memory:
what waits when Prism is ended has been read and is gone, so runs from time to time are the safer way there.

Source: Burns, Designing Distributed Systems, chapter 11, hands-on: building an event-driven flow for new user sign-up.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import (
    Ended,
    Options,
    Places,
    check_queues,
    duration,
    is_idle,
    launch,
    option,
    prefix,
    prepared,
    queue,
    source,
)
from beam_patterns.pipelines.parts.mail import Deliver, open_outbox
from beam_patterns.pipelines.parts.signup.match import Match
from beam_patterns.pipelines.parts.signup.meet import Meet
from beam_patterns.pipelines.parts.signup.records import (
    CONFIRMATION,
    SIGNUP,
    Checked,
    Event,
    fields_of,
    waiting,
)
from beam_patterns.pipelines.parts.signup.texts import Texts, by_mail, by_text_message, sender_address
from beam_patterns.pipelines.parts.signup.waiting import any_expired
from beam_patterns.transforms import Copier, DeadLetters, Filter, Map, Merger, Splitter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue, queue_under

_NAME = "new_user_signup"


class NewUserSignupOptions(Options):
    """New users sign up: verification mail, match with confirmations, welcome mail, subscriptions to news."""

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
        "How the output queues begin; subscriptions, texts and expired are appended to it (files end in .jsonl).",
        example="'sqlite:///data/queues.db?topic='",
        type=prefix,
    )
    dead_letters: str = option(
        "The queue for what can't be processed, with the reason and the original bytes.",
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
        "Where mails go, a Maildir or an SMTP server. Into a Maildir none is delivered twice, however often a run is "
        "repeated or killed; over SMTP at most the one in flight at a kill, with the same Message-ID.",
        example="smtp://localhost:25",
        default="outbox",
    )
    sent: str = option(
        "The file that remembers which mails were delivered; default: sent.db in the Maildir, or sent-mails.db here.",
        example="/var/lib/signup/sent.db",
        default="",
    )
    sender: str = option(
        "Who the mails are from.",
        example="'Example Shop <hello@shop.example>'",
        default="Example Shop <hello@shop.example>",
    )
    site: str = option(
        "Where links in mails lead.",
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

    local: ClassVar[str] = "which mails were sent is remembered in a file that all workers must see"

    def check(self) -> None:
        """Values that make no sense, found before anything starts."""
        open_outbox(self.mail)
        sender_address(self.sender)
        if self.streaming:
            self._check_stream()
        elif not open_queue(source(self.waiting_room)).keeps_positions:
            raise ValueError(f"--pending: {self.waiting_room} does not remember what was read; take Kafka or SQLite")
        reads = [("--signups", self.signups), ("--confirmations", self.confirmations)]
        if not self.streaming:
            reads.append(("--pending", self.waiting_room))
        writes = [(f"--output with {name}", queue(uri)) for name, uri in self.outputs.items()]
        check_queues(reads, [*writes, ("--dead_letters", self.dead_letters)], self.streaming)

    def _check_stream(self) -> None:
        if self.pending:
            raise ValueError(f"--pending: a stream keeps what waits in the runner's state; leave out {self.pending}")
        if not self.expire_after:
            raise ValueError(
                "--expire_after: 0s lets nobody in a stream meet their confirmation; write for instance 7d"
            )

    @property
    def waiting_room(self) -> str:
        """The pending queue's URI."""
        return self.pending or queue_under(self.output, "pending", group=_NAME)

    @property
    def outputs(self) -> dict[str, str]:
        """The output queues' URIs."""
        return {name: queue_under(self.output, name) for name in ("subscriptions", "texts", "expired")}


class Signups(NamedTuple):
    """What the flow makes of its input; each a PCollection[Message]."""

    verification: PCollection
    """Sign-ups to be asked for a confirmation by mail."""
    welcome: PCollection
    """Confirmed sign-ups to be greeted by mail."""
    subscriptions: PCollection
    """Who gets news, and how."""
    texts: PCollection
    """Text messages to be sent."""
    pending: PCollection | None
    """What waits for the next run; None in a stream, whose state it is."""
    expired: PCollection
    """What has waited too long."""


def new_user_signup(
    signups: PCollection,
    confirmations: PCollection,
    pending: PCollection | None,
    *,
    dead: ErrorHandler,
    texts: Texts,
    now: float,
    expire_after: timedelta,
) -> Signups:
    """The flow, from messages to messages; in a stream nothing is pending."""
    seen = None if pending is None else now  # In a stream a record's time is its message's own.
    signed_up = signups | "CheckSignups" >> Map(Checked(SIGNUP, seen)).with_error_handler(dead)
    confirmed = confirmations | "CheckConfirmations" >> Map(Checked(CONFIRMATION, seen)).with_error_handler(dead)
    if pending is None:
        met = (signed_up, confirmed) | "Meet" >> Meet(expire_after).with_error_handler(dead)
        verification = signed_up | "ToVerify" >> Map(_message_of)
        return Signups(verification, *_set_up(met.confirmed, texts), None, met.expired)
    waited = pending | "CheckPending" >> Map(waiting).with_error_handler(dead)
    events = {"signups": signed_up, "confirmations": confirmed, "pending": waited}
    users = events | "Gather" >> Merger() | "Match" >> Match(now, expire_after)
    return Signups(users.new, *_set_up(users.confirmed, texts), users.pending, users.expired)


def _set_up(users: PCollection, texts: Texts) -> tuple[PCollection, PCollection, PCollection]:
    """Who is welcomed, what they subscribe to, and the text messages that say so."""
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
    told = chosen.sms | "ComposeText" >> Map(texts.text_message)
    return confirmed.welcome, subscriptions, told


def _message_of(event: Event) -> Message:
    return event.message


def _opted_in(user: dict) -> bool:
    return user["email_opt_in"] or user["sms_opt_in"]


def _by_email(user: dict) -> bool:
    return user["email_opt_in"]


def _by_sms(user: dict) -> bool:
    return user["sms_opt_in"]


def build(p: beam.Pipeline, o: NewUserSignupOptions) -> Places | None:
    """The flow between the queues that the options name, and where its results lie; None if there is nothing to do."""
    now, pending = time.time(), None
    if not o.streaming and _nothing_to_do(o, now - o.expire_after.total_seconds()):
        return None
    outbox, texts = open_outbox(o.mail, o.sent), Texts(o.sender, o.site)
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        signups = p | "ReadSignups" >> ReadFromQueue(o.signups).with_error_handler(dead)
        confirmations = p | "ReadConfirmations" >> ReadFromQueue(o.confirmations).with_error_handler(dead)
        if not o.streaming:
            pending = p | "ReadPending" >> ReadFromQueue(o.waiting_room).with_error_handler(dead)
        flow = new_user_signup(
            signups, confirmations, pending, dead=dead, texts=texts, now=now, expire_after=o.expire_after
        )
        verified = flow.verification | "AskToVerify" >> Deliver(outbox, texts.verification).with_error_handler(dead)
        welcomed = flow.welcome | "SayWelcome" >> Deliver(outbox, texts.welcome).with_error_handler(dead)
        targets = o.outputs if o.streaming else {**o.outputs, "pending": o.waiting_room}
        written = [
            getattr(flow, name) | f"Write{name.title()}" >> WriteToQueue(uri).with_error_handler(dead)
            for name, uri in targets.items()
        ]
    if pending is not None:  # A stream commits by itself.
        # In this order, because a kill may fall between two commits: a confirmation that is read once more finds its
        # user gone and expires, harmless; a sign-up read without its confirmation would expire although it was
        # confirmed.
        (
            (verified, welcomed, *written, dead.output())
            | "CommitSignups" >> CommitOffsets(signups)
            | "CommitPending" >> CommitOffsets(pending)
            | "CommitConfirmations" >> CommitOffsets(confirmations)
        )
    return {"mails": o.mail, **targets, "dead letters": o.dead_letters}


def _nothing_to_do(o: NewUserSignupOptions, oldest: float) -> bool:
    prepared(o.waiting_room)
    return is_idle(o.signups, o.confirmations) and not any_expired(o.waiting_room, oldest)


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code, with the balance."""
    return launch(NewUserSignupOptions, build, argv)
