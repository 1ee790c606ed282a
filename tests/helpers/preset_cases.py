"""What the papers' tables say of the presets, written out once more."""

from __future__ import annotations

import re

ALT = """stroller, trolley, garbage bag, wheelie bin, suitcase, skateboard, chair dumped on the street,
sofa dumped on the street, furniture dumped on the street, matress dumped on the street, garbage dumped on the street,
clothes dumped on the street, cement mixer on the street, cat, dog, bird flying, horse, skunk, sheep, crocodile,
alligator, bear, llama, tiger, monkey"""
COCO = """airplane, apple, backpack, banana, baseball bat, baseball glove, bear, bed, bench, bird flying, boat, book,
bottle, bowl, broccoli, cake, carrot, cat, cell phone, chair, clock, couch, cow, cup, dining table, dog, donut,
elephant, fire hydrant, fork, frisbee, giraffe, hair drier, handbag, horse, hot dog, keyboard, kite, knife, laptop,
microwave, mouse, orange, oven, parking meter, pizza, potted plant, refrigerator, remote, sandwich, scissors, sheep,
sink, skateboard, skis, snowboard, spoon, sports ball, suitcase, surfboard, teddy bear, tennis racket, tie, toaster,
toilet, toothbrush, train, tv, umbrella, vase, wine glass, zebra"""
ANIMALS = "bird flying, cat, cow, dog, horse, sheep"
GENVAL = """table, chair, sofa, mirror, armchair, desk, lamp, bathtub, box, refrigerator, pillow, toilet, book, bench,
computer, arcade machine, bottle, bag, microwave, vase, plate, radiator, clock, baby, billboard, graffiti, lion,
elephant, giraffe, tiger, penguin, dolphin, kangaroo, gorilla, cheetah, polar bear, koala, zebra, hippopotamus,
chimpanzee, flamingo, panda"""
NEW = {
    "poc-alt": re.split(r",\s+", ALT),
    "poc-coco": re.split(r",\s+", COCO),
    "poc-animals": re.split(r",\s+", ANIMALS),
    "poc-cs-animals": re.split(r",\s+", ANIMALS),
    "genval": re.split(r",\s+", GENVAL),
}
# By the class that has to be found: parts, trainIds, limits in px, prompts without their articles.
ROWS: dict[str, tuple[tuple[str, ...], tuple[int, ...], tuple[int, int], list[str]]] = {
    "motorcycle": (
        ("rider", "motorcycle"),
        (12, 17),
        (300, 450),
        ["motorbike", "motorbike with rider", "scooter", "scooter with rider"],
    ),
    "bicycle": (
        ("rider", "bicycle"),
        (12, 18),
        (300, 450),
        ["bicycle", "bicycle with rider", "person riding bicycle"],
    ),
    "train": (("train",), (16,), (550, 700), ["train"]),
    "bus": (("bus",), (15,), (550, 700), ["bus"]),
    "person": (("person",), (11,), (350, 450), ["man walking in the street", "woman walking in the street"]),
    "car": (("car",), (13,), (350, 650), ["car", "suv", "van"]),
    "truck": (("truck",), (14,), (500, 700), ["european semi-truck"]),
}
ROWS_OF = {
    "poc-alt": list(ROWS),
    "poc-coco": list(ROWS),
    "poc-animals": [],
    "poc-cs-animals": [name for name in ROWS if name != "truck"],
    "genval": [],
}
PAINTED = sorted(NEW)
