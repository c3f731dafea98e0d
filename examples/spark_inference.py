"""Inference in Spark, here two workers of this machine: a column of sequences, a column of outputs.

``pip install simdrnn "pyspark[ml]" pandas pyarrow`` and a Java that it runs on, then
``python examples/spark_inference.py``. The layer is read from a file once by each worker process,
and gets batches of rows as NumPy arrays.
"""

import os
import sys
import tempfile

import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, FloatType

import simdrnn as sr

T, I, H = 20, 8, 16  # noqa: E741


def reader(path):
    """Return a function that makes, on a worker, the one that predicts."""

    def make():
        layer = sr.load(path)  # (b, T, I): batch_first is in the file

        def predict(x):
            return layer(x, num_threads=1)[0][:, -1]  # the output of the last step, (b, H)

        return predict

    return make


if __name__ == "__main__":
    layer = sr.GRU(I, H, batch_first=True, seed=0)
    x = np.random.default_rng(0).standard_normal((200, T, I)).astype("float32")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # of the workers, with simdrnn in it
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        layer.save(f"{folder}/layer.npz")  # on a cluster: a place that all workers see
        last = predict_batch_udf(
            reader(f"{folder}/layer.npz"),
            return_type=ArrayType(FloatType()),
            batch_size=64,
            input_tensor_shapes=[[T, I]],
        )
        rows = [(number, row.ravel().tolist()) for number, row in enumerate(x)]
        table = spark.createDataFrame(rows, "number int, x array<float>").repartition(2)
        found = table.select("number", last("x").alias("y")).orderBy("number").collect()
    spark.stop()
    y = np.array([row.y for row in found], "float32")
    print("the same bits as one call:", np.array_equal(y, layer(x)[0][:, -1]))
