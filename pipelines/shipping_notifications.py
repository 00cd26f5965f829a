"""Notifies customers of shipped orders by mail, by text message or both, as they chose.

```
orders --> Filter --> Dedupe --> Splitter --email-----> WorkQueue --> mails
          (shipped)   (order)       |
                                    +--sms-------> WorkQueue --> text messages
                                    |
                                    +--otherwise-> untold: customers who chose nothing
invalid orders, and notices that the mail server or the provider of text messages refuses --> dead letters
```

    python pipelines/shipping_notifications.py \\
        --orders 'sqlite:///data/queues.db?topic=orders&group=shipping_notifications' \\
        --mail smtp://localhost:25 --texts https://texts.example/v1/messages \\
        --untold 'sqlite:///data/queues.db?topic=untold' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

One notice per order and channel, however often a run is repeated or the same order arrives: sent notices are recorded
in --sent. If a run is killed after a notice was sent and before it was recorded, this notice is sent twice, with the
same Message-ID or Idempotency-Key, by which a server recognises it; a Maildir gets it once. A server that can't be
reached is tried five times per order, over about half a minute; orders that still fail become dead letters, ready to be
replayed.

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
from beam_patterns.pipelines.parts.fields import fields_of
from beam_patterns.pipelines.parts.mail import Outbox, open_outbox, sender_address
from beam_patterns.pipelines.parts.shipping.delivery import Mailer, QueueSender, can_be_retried
from beam_patterns.pipelines.parts.shipping.notices import Notices
from beam_patterns.pipelines.parts.shipping.orders import (
    EMAIL,
    SMS,
    is_shipped,
    notice_id,
    order_id,
    wants_email,
    wants_sms,
)
from beam_patterns.transforms import DeadLetters, Dedupe, Filter, MultiWorker, Splitter, WorkQueue
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue
from beam_patterns.transforms.work import DoneMarkers, HttpWorker

TOKEN = "BEAM_PATTERNS_TEXT_TOKEN"  # noqa: S105 (a variable's name)
_ATTEMPTS, _TIMEOUT = 5, 120


class ShippingNotificationsOptions(Options):
    """Notifies customers of shipped orders by mail, by text message or both, as they chose."""

    orders: str = option(
        "The queue of orders: JSON with order_id, status, name, carrier, notify (a list of email, sms), email, phone.",
        example="'sqlite:///data/queues.db?topic=orders&group=shipping_notifications'",
        type=source,
    )
    texts: str = option(
        "Who sends text messages: a URL that accepts POST requests (with its token, if it requires one, in the "
        f"environment variable {TOKEN}), or a queue.",
        example="https://texts.example/v1/messages",
    )
    untold: str = option(
        "The queue for orders of customers who chose nothing.",
        example="'sqlite:///data/queues.db?topic=untold'",
        type=queue,
    )
    dead_letters: str = option(
        "The queue for orders that failed, with the reason and the original bytes.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        type=queue,
    )
    mail: str = option("Where mails go, a Maildir or an SMTP server.", example="smtp://localhost:25", default="outbox")
    sent: str = option(
        "The folder that records which notices were sent; all workers must see it.",
        example="/var/lib/shipping/sent",
        default="shipping-sent",
    )
    sender: str = option(
        "The sender of the mails.",
        example="'Example Shop <hello@shop.example>'",
        default="Example Shop <hello@shop.example>",
    )
    site: str = option(
        "The site that links lead to; the order's number is appended.",
        example="https://shop.example",
        default="https://shop.example",
        pattern=r"https?://[^\s<>]+[^\s<>/]",
    )

    local: ClassVar[str] = "all workers must see the folder that records which notices were sent"

    def check(self) -> None:
        self.outbox()
        sender_address(self.sender)
        try:
            self.text_sender()
        except ValueError as error:
            raise ValueError(f"--texts: {error}") from None
        if not self._has_provider and not open_queue(self.texts).is_shared:
            raise ValueError(
                f"--texts: {self.texts} exists in one process only, but worker processes write to it; use sqlite://"
            )
        writes = [("--untold", self.untold), ("--dead_letters", self.dead_letters)]
        if not self._has_provider:
            writes.append(("--texts", self.texts))
        check_queues([("--orders", self.orders)], writes, self.streaming)

    @property
    def _has_provider(self) -> bool:
        return self.texts.startswith(("http://", "https://"))

    def outbox(self) -> Outbox:
        """The outbox for mails."""
        return open_outbox(self.mail, str(Path(self.sent, "mails.db").absolute()))

    def text_sender(self) -> HttpWorker | QueueSender:
        """The worker that sends text messages."""
        if self._has_provider:
            worker = HttpWorker(self.texts)
            return worker.with_token_from(TOKEN) if TOKEN in os.environ else worker
        return QueueSender(queue(self.texts))

    def once_per_order(self, channel: str, worker: Callable[[Message], Any]) -> WorkQueue:
        """The work queue that sends the notices of a channel and records which orders have had theirs."""
        sent = DoneMarkers(Path(self.sent, channel).absolute(), key=partial(notice_id, channel))
        return WorkQueue(worker, _ATTEMPTS, _TIMEOUT).with_retry(can_be_retried).with_done_check(sent)


class Notified(NamedTuple):
    """The outputs of the flow."""

    mails: PCollection
    """Message-IDs of mails that were delivered."""
    texts: PCollection
    """Answers of the provider of text messages."""
    untold: PCollection
    """Orders of customers who chose nothing."""


def shipping_notifications(
    orders: PCollection[Message], *, email: WorkQueue, sms: WorkQueue, dead: ErrorHandler
) -> Notified:
    """The graph without I/O: orders to sent notices."""
    split = (
        orders
        | "Shipped" >> Filter(is_shipped).with_error_handler(dead)
        | "Each order once" >> Dedupe(order_id).with_error_handler(dead)
        | "By choice"
        >> Splitter(email=wants_email, sms=wants_sms).with_every_match().with_view(fields_of).with_error_handler(dead)
    )
    return Notified(
        split.email | "Email" >> email.with_error_handler(dead),
        split.sms | "Text" >> sms.with_error_handler(dead),
        split.otherwise,
    )


def build(p: beam.Pipeline, o: ShippingNotificationsOptions) -> Places:
    """The graph between the queues of the options; returns where the results are."""
    notices = Notices(o.sender, o.site)
    text = MultiWorker(compose=notices.text, send=(o.text_sender(), "compose"))
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        orders = p | "ReadOrders" >> ReadFromQueue(o.orders).with_error_handler(dead)
        notified = shipping_notifications(
            orders,
            email=o.once_per_order(EMAIL, Mailer(o.outbox(), notices.mail)),
            sms=o.once_per_order(SMS, text),
            dead=dead,
        )
        untold = notified.untold | "WriteUntold" >> WriteToQueue(o.untold).with_error_handler(dead)
    (notified.mails, notified.texts, untold, dead.output()) | "CommitOrders" >> CommitOffsets(orders)
    return {"mails": o.mail, "texts": o.texts, "untold": o.untold, "dead letters": o.dead_letters}


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code, with the balance."""
    return launch(ShippingNotificationsOptions, build, argv)
