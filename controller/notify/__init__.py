"""Notifies people: one incident to one address at a time, once."""

from controller.notify.applier import Issues, NotifyApplier
from controller.notify.by_apprise import AppriseNotifier
from controller.notify.protocol import Notifier

__all__ = ["AppriseNotifier", "Issues", "Notifier", "NotifyApplier"]
