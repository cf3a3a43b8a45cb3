"""A new model on your own images, compatible with your old one.

    from bctlib.upgrade.train import old_from_weights, train_new_model
    old = old_from_weights("old.pth", backbone="resnet18", classes="classes.txt")
    model = train_new_model("photos", "v2.safetensors", old=old)

`bctlib train` is the command.
"""

from bctlib.upgrade.train.command import old_from_features, old_from_weights, train_new_model

__all__ = ["old_from_features", "old_from_weights", "train_new_model"]
