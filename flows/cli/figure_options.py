"""The arguments and options of `strive figures`, which no other command has."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import completion

ExplainedRunArgument = Annotated[
    str | None,
    typer.Argument(metavar="RUN", autocompletion=completion.runs, help="A run's id or its beginning; or give --study."),
]
PhotosArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="IMAGES", help="Images of your own to look at, as after --images: files or folders."),
]
ImagesToExplainOption = Annotated[
    str,
    typer.Option(
        help="Test images to explain: 10 for ten, of each class in turn; or 0:1000, or 3,17,200:300. Or images of "
        "your own, files and folders (docs/own-images.md)."
    ),
]
NetworkOfWeightsOption = Annotated[
    str | None,
    typer.Option(
        autocompletion=completion.networks, help="Instead of a run: a network of `strive networks`, with --weights."
    ),
]
WeightsOption = Annotated[Path | None, typer.Option(help="Its weights: a .safetensors or .pth file.")]
ScaleOption = Annotated[
    str,
    typer.Option(
        autocompletion=completion.scales,
        help="How images were scaled for these weights: scale (-1 to 1), unit (0 to 1), imagenet.",
    ),
]
MapsFolderOption = Annotated[Path, typer.Option(help="Folder for the maps of your own images.")]
LayersOption = Annotated[
    str | None,
    typer.Option(
        help="Layers of the top-activating patches: conv1,conv6.  [default: at half and three quarters of the depth]"
    ),
]
ChannelsOption = Annotated[int, typer.Option(help="Most active channels of each layer.")]
TopOption = Annotated[int, typer.Option(help="Top-activating patches of each channel.")]
PartOption = Annotated[
    str, typer.Option(autocompletion=completion.parts, help="Whose images these patches are of: test or train.")
]
MethodsOption = Annotated[
    str,
    typer.Option(
        autocompletion=completion.methods, help="Some of backprop, deconvnet and guided (or guided-backprop)."
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(autocompletion=completion.precisions, help="float32, or bfloat16: quicker where it is native."),
]
