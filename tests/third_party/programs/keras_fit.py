# SPDX-License-Identifier: Apache-2.0
"""Keras 3 on JAX: fit, evaluate and predict of a model with preprocessing, batch norm and dropout."""

import json
import os

os.environ["KERAS_BACKEND"] = "jax"

import keras  # noqa: E402
import numpy as np  # noqa: E402

keras.utils.set_random_seed(1)
rng = np.random.default_rng(0)
x = rng.normal(size=(128, 10)).astype("float32")
y = (x[:, :3].sum(axis=1) > 0).astype("float32")

model = keras.Sequential(
    [
        keras.Input((10,)),
        keras.layers.Dense(16, activation="gelu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.1),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, batch_size=32, epochs=3, verbose=2)
numbers = {
    "losses": history.history["loss"],
    "evaluated": [float(v) for v in model.evaluate(x, y, verbose=0)],
    "predicted": model.predict(x[:8], verbose=0).ravel().tolist(),
}
print(json.dumps({"numbers": numbers, "error": ""}))
