"""Model folders: what is in one, and what each task writes into ``config.json``."""

from elman.modelfile.folder import ModelFolder as ModelFolder
from elman.modelfile.folder import read as read
from elman.modelfile.folder import write as write
from elman.modelfile.tensors import check_tensors as check_tensors
