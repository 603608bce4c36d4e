"""Adapters to other packages: tqdm, joblib and Dask. Each is imported only when it is used."""
