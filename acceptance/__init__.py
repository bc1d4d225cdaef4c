"""The main job and the open experiments on a genuine Windows, for whoever has one and KVM.

`make acceptance ISO=Win11.iso [VIRTIO=virtio-win.iso]`. Not part of the package.
"""
