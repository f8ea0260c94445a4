import torch
from torchvision.models import resnet18

from pipeline.own import maps

saliency = maps(resnet18().eval(), torch.randn(2, 3, 64, 64), method="guided")
