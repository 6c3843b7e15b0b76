import json
import os


def remember(folder, key, value):
    path = os.path.join(folder, f"{key}.json")
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.replace(path + ".new", path)


def recall(folder, key):
    with open(os.path.join(folder, f"{key}.json")) as file:
        return json.load(file)
