"""Read the files of users: images, videos, paths and input lists."""
