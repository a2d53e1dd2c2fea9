"""Networks by name: sizes, shapes, frozen backbones, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from seaice import InputError
from seaice.segmentation.networks.backbone import (
    BackboneNetwork,
    ConvolutionalHead,
    as_feature_map,
    load_weights,
    run_network,
)
from seaice.segmentation.networks.registry import (
    build_network,
    find_family,
    has_backbone,
)
from seaice.segmentation.networks.terramind import compute_sar_scaling


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


class Tokens(nn.Module):
    """A transformer's layout: pieces of 8 pixels as tokens, a class token before them."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.piece = nn.Conv2d(2, width, 8, stride=8)
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        tokens = self.piece(images).flatten(2)
        tokens = self.drop(self.norm(tokens)).transpose(1, 2)
        return [tokens, torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1)]


def make_tokens(*, pretrained: bool, width: int = 12) -> Tokens:
    return Tokens(width)


class Spare(Tokens):
    """With a layer that leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(2, 2)


def make_spare(*, pretrained: bool) -> Spare:
    return Spare()


def make_number(*, pretrained: bool) -> int:
    return 3


def of_one_channel(*, pretrained: bool) -> nn.Module:
    return nn.Conv2d(1, 4, 3)


@pytest.mark.slow
def test_unet_has_the_published_size():
    network = build_network("unet", channels=2, classes=2)
    assert parameters(network) == 1_942_450
    assert network(torch.zeros(1, 2, 224, 224)).shape == (1, 2, 224, 224)
    assert network.extract_features(torch.zeros(1, 2, 224, 224)).shape == (1, 256, 14, 14)


def test_unet_takes_odd_sizes_channels_and_depth():
    network = build_network("unet", channels=16, classes=11, base=4, depth=3).eval()
    assert network(torch.zeros(2, 16, 21, 27)).shape == (2, 11, 21, 27)
    assert network.extract_features(torch.zeros(1, 16, 24, 24)).shape == (1, 32, 3, 3)
    assert parameters(network) < parameters(
        build_network("unet", channels=16, classes=11, base=4, depth=4)
    )
    with pytest.raises(InputError, match="at least 8 pixels for depth 3"):
        network(torch.zeros(1, 16, 7, 40))


def test_head_has_the_published_size():
    assert parameters(ConvolutionalHead(768, 2)) == 2_360_834


def test_terramind_scaling_goes_through_decibels():
    stored = np.array([0.7, -1.3])
    decibels = stored * [5.6597459, 4.7467593] + [-14.5082552, -24.7012051]
    wanted = (decibels - [-12.599, -20.293]) / [5.195, 5.890]
    made = [
        x * factor + addend for x, (factor, addend) in zip(stored, compute_sar_scaling(), strict=True)
    ]
    np.testing.assert_allclose(made, wanted, rtol=1e-12)


def test_pixels_without_sar_stay_zero_after_scaling():
    network = BackboneNetwork(Tokens(), width=12, channels=2, classes=2, scaling=compute_sar_scaling())
    sar = torch.tensor([[[[0.0, 0.0]], [[0.0, 1.0]]]])
    made = network.scale_sar(sar)
    assert made[0, :, 0, 0].tolist() == [0, 0]
    # HH happens to be 0 beside an HV that is not: a value like any other.
    np.testing.assert_allclose(made[0, :, 0, 1], [-0.36752, 0.8059 - 0.74843], atol=1e-5)


@pytest.mark.parametrize("channels", [2, 16])
def test_own_encoder_with_tokens(channels):
    network = build_network("test_networks:make_tokens", channels=channels, classes=3, trial_size=32)
    assert network(torch.randn(2, channels, 32, 48)).shape == (2, 3, 32, 48)
    assert network.extract_features(torch.randn(1, channels, 32, 48)).shape == (1, 12, 4, 6)
    assert network.head[0].in_channels == 12 + channels - 2


def test_extra_channels_reach_the_output():
    network = build_network("test_networks:make_tokens", channels=16, classes=2, trial_size=32).eval()
    images = torch.randn(1, 16, 32, 32)
    other = images.clone()
    other[:, 15] += 1
    assert not torch.equal(network(images), network(other))


@pytest.mark.slow
def test_frozen_backbone_neither_learns_nor_trains():
    network = build_network(
        "test_networks:make_tokens", channels=2, classes=2, frozen=True, trial_size=32
    )
    network.train()
    assert network.head.training and not any(m.training for m in network.backbone.modules())
    before = {key: value.clone() for key, value in network.backbone.state_dict().items()}
    learning = [p for p in network.parameters() if p.requires_grad]
    assert sum(p.numel() for p in learning) == parameters(network.head)
    network(torch.randn(2, 2, 32, 32)).sum().backward()
    assert all(p.grad is None for p in network.backbone.parameters())
    torch.optim.AdamW(learning, lr=0.1).step()
    after = network.backbone.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_backbone_that_is_not_frozen_learns():
    network = build_network("test_networks:make_tokens", channels=2, classes=2, trial_size=32).train()
    assert network.backbone.training
    network(torch.randn(2, 2, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in network.backbone.piece.parameters())


def test_tokens_lie_in_rows():
    tokens = torch.arange(6.0).reshape(1, 6, 1)
    assert as_feature_map(tokens, (32, 48))[0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    with_class_token = torch.cat([torch.full((1, 1, 1), 99.0), tokens], dim=1)
    assert as_feature_map({"a": None, "b": with_class_token}, (32, 48))[0, 0].tolist() == [
        [0, 1, 2],
        [3, 4, 5],
    ]
    with pytest.raises(InputError, match="expected a map of features"):
        as_feature_map(torch.zeros(3), (4, 4))
    with pytest.raises(InputError, match="expected tokens of square pieces"):
        as_feature_map(torch.zeros(1, 500, 2), (32, 32))


def test_local_weights_must_fit(tmp_path):
    given, other = Tokens(), Tokens()
    good, wrong, junk = tmp_path / "good.pt", tmp_path / "wrong.pt", tmp_path / "junk.pt"
    torch.save({"state_dict": {**given.state_dict(), "decoder": torch.zeros(1)}}, good)
    torch.save(Tokens(13).state_dict(), wrong)
    junk.write_bytes(b"no weights")
    load_weights(other, good)
    assert all(torch.equal(a, b) for a, b in zip(given.parameters(), other.parameters(), strict=True))
    with pytest.raises(InputError, match=r"missing or of another shape \(first piece.weight\)"):
        load_weights(other, wrong)
    with pytest.raises(InputError, match="expected a torch file of weights"):
        load_weights(other, junk)
    with pytest.raises(InputError, match="no file of weights"):
        load_weights(other, tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vnet", {}, "expected a model among unet, terramind"),
        ("timm:", {}, "expected a model among"),
        ("smp:unet", {}, "expected a model among"),
        ("unet", {"bases": 3}, "unet does not take one of the options bases"),
        ("unet", {"depth": 0}, "expected base and depth as whole numbers of at least 1"),
        ("unet", {"base": "abc"}, "as whole numbers of at least 1, found 'abc' and 4"),
        ("unet", {"base": 2.5}, "as whole numbers of at least 1"),
        ("os:system", {}, "expected a module of your own for os:system"),
        ("torch.hub:load", {}, "expected a module of your own for torch.hub:load"),
        ("terramind", {"size": "huge"}, "expected a size of TerraMind"),
        ("no_such_module:make", {}, "expected an importable module:function"),
        ("test_networks:make_number", {}, "to return a torch module, found int"),
        ("test_networks:of_one_channel", {}, r"encoder that takes \(1, 2, 224, 224\)"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(name, options, message):
    with pytest.raises(InputError, match=message) as caught:
        build_network(name, channels=2, classes=2, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [
        ("terratorch", "terramind", "terramind"),
        ("timm", "timm:resnet18", "encoders"),
        ("segmentation_models_pytorch", "smp:unet:resnet18", "encoders"),
    ],
)
def test_absent_library_names_the_command(monkeypatch, module, name, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf'pip install "seaice-toolbox\[{extra}\]"'):
        build_network(name, channels=2, classes=2)


def test_torchvision_of_another_build_is_explained(monkeypatch, tmp_path):
    (tmp_path / "timm.py").write_text(
        'raise RuntimeError("operator torchvision::nms does not exist\\nin a second line")'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(torch, "__version__", "2.13.0+cpu")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.28.0+cu130")
    with pytest.raises(InputError) as caught:
        build_network("timm:resnet18", channels=2, classes=2)
    assert str(caught.value) == (
        "timm:resnet18 needs a torchvision that was built for this PyTorch, 2.13.0+cpu (operator "
        "torchvision::nms does not exist in a second line): pip install --force-reinstall --no-deps "
        "torchvision==0.28.0 --index-url https://download.pytorch.org/whl/cpu"
    )


class OfOneSize(torch.nn.Module):
    """Takes images of 64 x 64 pixels only, as the vision transformers of timm do."""

    error: type[Exception] = AssertionError

    def forward(self, images):
        if images.shape[-1] != 64:
            raise self.error(f"Input height ({images.shape[-2]}) doesn't match model (64).")
        return images.mean(dim=1, keepdim=True).repeat(1, 8, 1, 1)


def test_a_model_of_one_size_says_which_and_what_to_do():
    network = BackboneNetwork(OfOneSize(), width=8, channels=2, classes=2)
    assert run_network(network, torch.zeros(2, 2, 64, 64)).shape == (2, 2, 64, 64)
    message = (
        r"no images of 32 x 48 pixels \(Input height \(32\) doesn't match .*\(--options img_size=32"
    )
    with pytest.raises(InputError, match=message):
        run_network(network, torch.zeros(2, 2, 32, 48))
    network.backbone.error = RuntimeError
    with pytest.raises(RuntimeError, match="doesn't match"):
        run_network(network, torch.zeros(2, 2, 32, 48))


def test_names_need_no_torch():
    code = (
        "import sys; from seaice.segmentation.networks.registry import MODEL_NAMES, find_family\n"
        "assert find_family('smp:unet:resnet18') == 'smp' and MODEL_NAMES and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [find_family(n) for n in ("unet", "timm:a.b", "package.module:make")] == [
        "unet",
        "timm",
        "own",
    ]
    assert has_backbone("terramind") and not has_backbone("smp:unet:resnet18")


def test_terramind_base():
    pytest.importorskip("terratorch", reason="terratorch is not installed (the extra terramind)")
    network = build_network("terramind", channels=2, classes=2, pretrained=False, frozen=True).train()
    assert (parameters(network), parameters(network.head)) == (87_708_674, 2_360_834)
    assert not any(m.training for m in network.backbone.modules())
    made = network(torch.randn(1, 2, 224, 224))
    assert made.shape == (1, 2, 224, 224)
    made.sum().backward()
    assert all(p.grad is None for p in network.backbone.parameters())


def build_or_skip(name, **options):
    """Build a network; skip the test where its library or the right torchvision is not there."""
    try:
        return build_network(name, **options)
    except InputError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("name", ["timm:resnet18", "timm:swin_tiny_patch4_window7_224"])
def test_timm_encoder(name):
    network = build_or_skip(name, channels=16, classes=2, pretrained=False)
    assert network(torch.randn(1, 16, 224, 224)).shape == (1, 2, 224, 224)


def test_smp_model():
    network = build_or_skip("smp:unet:resnet18", channels=16, classes=2)
    assert network(torch.randn(2, 16, 64, 64)).shape == (2, 2, 64, 64)
