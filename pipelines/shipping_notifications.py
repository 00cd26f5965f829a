"""Shipped orders: each customer is told by mail, by text message or both, as they chose.

```
orders --> Filter --> Dedupe --> Splitter --email-----> WorkQueue --> mails
          (shipped)   (order)       |
                                    +--sms-------> WorkQueue --> text messages
                                    |
                                    +--otherwise-> untold: customers who chose nothing
what fails a check, or is refused by the mail server or the provider of text messages --> dead letters
```

    python pipelines/shipping_notifications.py \\
        --orders 'sqlite:///data/queues.db?topic=orders&group=shipping_notifications' \\
        --mail smtp://localhost:25 --texts https://texts.example/v1/messages \\
        --untold 'sqlite:///data/queues.db?topic=untold' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

One notice per order and channel, however often a run is repeated or the same order arrives: what was sent is remembered
in --sent. A kill between a notice and its note costs that one notice a second sending, under the same Message-ID or
Idempotency-Key, by which a server knows it; a Maildir takes it once. A server that can't be reached is tried five times
per order, over about half a minute; what it then missed is among the dead letters, to be replayed.

Source: Burns, Designing Distributed Systems, chapter 11, figure 11-4 (the splitter pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Ended, Options, Places, check_queues, launch, option, queue, source
from beam_patterns.pipelines.parts.mail import Outbox, open_outbox
from beam_patterns.pipelines.parts.shipping.delivery import Mailer, QueueSender, worth_another_try
from beam_patterns.pipelines.parts.shipping.notices import Notices
from beam_patterns.pipelines.parts.shipping.orders import (
    EMAIL,
    TEXT,
    is_shipped,
    notice_id,
    order_id,
    wants_email,
    wants_text,
)
from beam_patterns.pipelines.parts.signup.records import fields_of
from beam_patterns.pipelines.parts.signup.texts import sender_address
from beam_patterns.transforms import DeadLetters, Dedupe, Filter, MultiWorker, Splitter, WorkQueue
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue
from beam_patterns.transforms.work import DoneMarkers, HttpWorker

TOKEN = "BEAM_PATTERNS_TEXT_TOKEN"  # noqa: S105 (a variable's name)
_ATTEMPTS, _TIMEOUT = 5, 120


class ShippingNotificationsOptions(Options):
    """Shipped orders: each customer is told by mail, by text message or both, as they chose."""

    orders: str = option(
        "The queue of orders: JSON with order_id, status, name, carrier, notify (a list of email, sms), email, phone.",
        example="'sqlite:///data/queues.db?topic=orders&group=shipping_notifications'",
        type=source,
    )
    texts: str = option(
        "Who sends text messages: an address that takes POSTs (its token in the environment variable "
        f"{TOKEN}, if it wants one), or a queue.",
        example="https://texts.example/v1/messages",
    )
    untold: str = option(
        "The queue for orders of customers who chose nothing.",
        example="'sqlite:///data/queues.db?topic=untold'",
        type=queue,
    )
    dead_letters: str = option(
        "The queue for what can't be told, with the reason and the original bytes.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        type=queue,
    )
    mail: str = option("Where mails go, a Maildir or an SMTP server.", example="smtp://localhost:25", default="outbox")
    sent: str = option(
        "The folder that remembers what was sent; all workers must see it.",
        example="/var/lib/shipping/sent",
        default="shipping-sent",
    )
    sender: str = option(
        "Who the mails are from.",
        example="'Example Shop <hello@shop.example>'",
        default="Example Shop <hello@shop.example>",
    )
    site: str = option(
        "Where links lead; the order's number is appended.",
        example="https://shop.example",
        default="https://shop.example",
        pattern=r"https?://[^\s<>]+[^\s<>/]",
    )

    local: ClassVar[str] = "what was sent is remembered in a folder that all workers must see"

    def check(self) -> None:
        """Values that make no sense, found before anything starts."""
        self.outbox()
        sender_address(self.sender)
        try:
            self.text_sender()
        except ValueError as error:
            raise ValueError(f"--texts: {error}") from None
        if not self.texts.startswith("http") and not open_queue(self.texts).is_shared:
            raise ValueError(
                f"--texts: {self.texts} lives in one process, and texts are sent by others; take sqlite://"
            )
        writes = [("--untold", self.untold), ("--dead_letters", self.dead_letters)]
        if not self.texts.startswith("http"):
            writes.append(("--texts", self.texts))
        check_queues([("--orders", self.orders)], writes, self.streaming)

    def outbox(self) -> Outbox:
        """Where mails go."""
        return open_outbox(self.mail, str(Path(self.sent, "mails.db").absolute()))

    def text_sender(self) -> HttpWorker | QueueSender:
        """Who sends text messages."""
        if self.texts.startswith(("http://", "https://")):
            worker = HttpWorker(self.texts)
            return worker.with_token_from(TOKEN) if TOKEN in os.environ else worker
        return QueueSender(queue(self.texts))

    def remembered(self, channel: str) -> DoneMarkers:
        """Which orders were told on a channel."""
        return DoneMarkers(Path(self.sent, channel).absolute(), key=partial(notice_id, channel))


class Notified(NamedTuple):
    """What came of the orders."""

    mails: PCollection
    """Message-IDs of mails that were delivered."""
    texts: PCollection
    """What the provider of text messages answered."""
    untold: PCollection
    """Orders of customers who chose nothing."""


class Channel(NamedTuple):
    """How orders are told on one channel, and which were."""

    work: Callable[[Message], Any]
    told: DoneMarkers


def shipping_notifications(
    orders: PCollection, *, email: Channel, sms: Channel, dead: ErrorHandler, attempts: int = _ATTEMPTS
) -> Notified:
    """The flow, from orders to what was sent."""

    def tell(channel: Channel) -> beam.PTransform:
        work = WorkQueue(channel.work, attempts=attempts, timeout=_TIMEOUT).with_retry(worth_another_try)
        return work.with_done_check(channel.told).with_error_handler(dead)

    split = (
        orders
        | "Shipped" >> Filter(is_shipped).with_error_handler(dead)
        | "Each order once" >> Dedupe(order_id).with_error_handler(dead)
        | "By choice"
        >> Splitter(email=wants_email, sms=wants_text).with_every_match().with_view(fields_of).with_error_handler(dead)
    )
    return Notified(split.email | "Email" >> tell(email), split.sms | "Text" >> tell(sms), split.otherwise)


def build(p: beam.Pipeline, o: ShippingNotificationsOptions) -> Places:
    """The flow between the queues that the options name, and where its results lie."""
    notices = Notices(o.sender, o.site)
    text = MultiWorker(compose=notices.text, send=(o.text_sender(), "compose"))
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        orders = p | "ReadOrders" >> ReadFromQueue(o.orders).with_error_handler(dead)
        told = shipping_notifications(
            orders,
            email=Channel(Mailer(o.outbox(), notices.mail), o.remembered(EMAIL)),
            sms=Channel(text, o.remembered(TEXT)),
            dead=dead,
        )
        untold = told.untold | "WriteUntold" >> WriteToQueue(o.untold).with_error_handler(dead)
    (told.mails, told.texts, untold, dead.output()) | "CommitOrders" >> CommitOffsets(orders)
    return {"mails": o.mail, "texts": o.texts, "untold": o.untold, "dead letters": o.dead_letters}


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code, with the balance."""
    return launch(ShippingNotificationsOptions, build, argv)
